#!/usr/bin/env bash
# Builds server/page/vendor/connect.js and its LICENSES.txt from the packages that
# server/page/vendor/package-lock.json pins.
#
#   tools/page_bundle.sh [--check]   compares with the files that are there
#   tools/page_bundle.sh --write     writes them
set -euo pipefail
cd "$(dirname "$0")/.."

vendor=server/page/vendor
made=(connect.js LICENSES.txt)

main() {
    case "${1---check}" in
    --check) make_again && compare ;;
    --write) make_again && write ;;
    *) fail "usage: tools/page_bundle.sh [--check | --write]" ;;
    esac
}

# Makes both files in $folder.
make_again() {
    tools/preflight.sh node
    # Not `local`: the trap runs after the function is gone.
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cp "$vendor"/{package.json,package-lock.json,entry.js} "$folder"
    install ||
        fail "npm could not install what $vendor/package-lock.json pins; see its message above."
    bundle
    licences >"$folder/LICENSES.txt"
}

# Nothing that a package brings runs at installation.
install() {
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
}

bundle() {
    (
        cd "$folder"
        node_modules/.bin/esbuild entry.js --bundle --format=esm --minify --target=es2022 \
            --legal-comments=none --banner:js="// Made by tools/page_bundle.sh; see LICENSES.txt." \
            --metafile=meta.json --outfile=connect.js --log-level=warning
    )
}

# Packages, the notices at the head of their files, and the licences' texts.
licences() {
    local inputs packages
    mapfile -t inputs < <(bundled_files)
    packages=$(printf '%s\n' "${inputs[@]}" | sed -n 's,^\(node_modules/@[^/]*/[^/]*\)/.*,\1,p' | sort -u)
    printf 'connect.js is made of code from these packages:\n\n'
    (cd "$folder" && for package in $packages; do about "$package"; done)
    printf '\nThe files of these packages begin with these notices:\n'
    (cd "$folder" && notices "${inputs[@]}")
    printf '\n%s\n\n' "The Apache License, Version 2.0, that they name:"
    cat LICENSE-APACHE
}

# The files of which something is in the bundle.
bundled_files() {
    node -e '
        const { outputs } = JSON.parse(require("fs").readFileSync(process.argv[1]));
        const inputs = Object.entries(outputs["connect.js"].inputs);
        const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0);
        console.log(used.map(([name]) => name).sort().join("\n"));
    ' "$folder/meta.json"
}

about() {
    node -p '
        const { name, version, license, repository } = require(process.argv[1]);
        `* ${name} ${version}, ${license}, ${repository.url.replace("git+", "")}`
    ' "./$1/package.json"
}

# The comments before the code of files, each once.
notices() {
    awk '
        function finish() {
            if (block != "" && !(block in seen)) { seen[block] = 1; printf "\n%s", block }
            block = ""
        }
        FNR == 1 { finish(); inside = 1 }
        inside && /^\/\// {
            sub(/^\/\/ ?/, "")
            block = block $0 "\n"
            # The last words of the notice; what follows is about the code.
            inside = !/limitations under the License\.$/
            next
        }
        { inside = 0 }
        END { finish() }
    ' "$@"
}

compare() {
    local name
    for name in "${made[@]}"; do
        cmp -s "$folder/$name" "$vendor/$name" ||
            fail "$vendor/$name is not what its sources make: \`tools/page_bundle.sh --write\` makes it again."
    done
    echo "$vendor/connect.js and LICENSES.txt are what $vendor/package-lock.json makes ($(size))."
}

write() {
    local name
    for name in "${made[@]}"; do
        cp "$folder/$name" "$vendor/$name"
    done
    echo "wrote $vendor/connect.js and LICENSES.txt ($(size))"
}

size() {
    echo "$(gzip -9 <"$folder/connect.js" | wc -c) bytes with gzip"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

main "$@"

#!/usr/bin/env bash
# Fetches pinned packages from PyPI into a folder of the checkout.
#
#   tools/setup.sh server    ONNX Runtime                          → .runtime/
#   tools/setup.sh trainer   libtorch                              → .runtime/
#   tools/setup.sh cuda      both, with what they need on a GPU    → .runtime-cuda/
#   tools/setup.sh python REQUIREMENTS   packages for this Python  → .peers/
#
# Does nothing if the folder already holds the pinned packages. Everything is downloaded and unpacked
# beside them first, so an interrupted run leaves nothing incomplete.
set -euo pipefail
cd "$(dirname "$0")/.."

# The libraries come from the wheels of one Python version, whatever the machine's Python is.
wheels_of_one_build=(--python-version 3.12 --implementation cp --abi cp312)
for tag in _2_28_x86_64 _2_27_x86_64 _2_25_x86_64 _2_18_x86_64 _2_17_x86_64 2014_x86_64 2010_x86_64; do
    wheels_of_one_build+=(--platform "manylinux$tag")
done

main() {
    case "${1-}" in
    server | trainer) install .runtime "tools/requirements/$1.txt" "${wheels_of_one_build[@]}" ;;
    cuda) install .runtime-cuda tools/requirements/cuda.txt "${wheels_of_one_build[@]}" ;;
    python) install .peers "${2:?name a requirements file}" ;;
    *) fail "usage: tools/setup.sh server | trainer | cuda | python REQUIREMENTS" ;;
    esac
}

# install FOLDER REQUIREMENTS [PIP OPTION…]
install() {
    local folder=$1 requirements=$2 taken
    local stamp="$folder/.installed-${requirements//\//-}"
    is_installed && return

    tools/preflight.sh python
    mkdir -p "$folder"
    # Not `local`: the trap runs after the function is gone.
    incoming=$(mktemp -d "$folder/.incoming-XXXXXX")
    trap 'rm -rf "$incoming"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    echo "Fetching $(packages "$requirements") into $folder/ …" >&2
    download "$requirements" "${@:3}" ||
        fail "pip could not fetch $requirements; see its message above. \`make setup\` starts over cleanly."
    take_over
    { cat "$requirements" && sed 's/^/# holds /' <<<"$taken"; } >"$stamp"
}

# Whether the stamp has the pins of REQUIREMENTS, and everything that it lists still exists.
is_installed() {
    [ -f "$stamp" ] && cmp -s <(sed '/^#/d' "$requirements") <(sed '/^#/d' "$stamp") || return 1
    local name
    while read -r name; do
        [ -e "$folder/$name" ] || return 1
    done < <(sed -n 's/^# holds //p' "$stamp")
}

packages() {
    sed -n 's/^\([A-Za-z0-9_.-]*\)==\([^ ]*\).*/\1 \2/p' "$1" | paste -sd, | sed 's/,/, /g'
}

# download REQUIREMENTS [PIP OPTION…]
download() {
    local quiet=(--quiet)
    [ -t 2 ] && quiet=() # show progress on a terminal
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip install "${quiet[@]}" --no-input --no-deps --no-compile --only-binary=:all: \
        --target "$incoming" --requirement "$1" "${@:2}" >&2
}

# Moves the unpacked entries into the folder, one by one; each rename is atomic.
take_over() {
    local entry name
    taken=
    for entry in "$incoming"/*; do
        name=$(basename "$entry")
        # Python scripts that several packages put into one folder, and that nothing here starts.
        [ "$name" = bin ] && continue
        rm -rf "${folder:?}/$name"
        mv "$entry" "$folder/$name"
        taken+="${taken:+$'\n'}$name"
    done
}

fail() {
    echo "error: $*" >&2
    exit 1
}

main "$@"

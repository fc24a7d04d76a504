#!/usr/bin/env bash
# Fetches pinned packages from PyPI into a folder of the checkout.
#
#   tools/setup.sh server    ONNX Runtime                          → .runtime/
#   tools/setup.sh trainer   libtorch                              → .runtime/
#   tools/setup.sh cuda      both, with what they need on a GPU    → .runtime-cuda/
#   tools/setup.sh python REQUIREMENTS   packages for this Python  → .peers/
#
# It does nothing when the folder already holds what the requirements file pins. Everything is
# downloaded and unpacked beside the folder first, so an interrupted run leaves nothing half done.
set -euo pipefail
cd "$(dirname "$0")/.."

# The libraries are taken from the wheels of one Python version, whatever the machine has.
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
        fail "pip could not fetch $requirements; its reason is above. \`make setup\` starts again where nothing is half done."
    take_over
    { cat "$requirements" && sed 's/^/# holds /' <<<"$taken"; } >"$stamp"
}

# Whether the stamp says what REQUIREMENTS says, and all that it lists is still there.
is_installed() {
    [ -f "$stamp" ] && cmp -s "$requirements" <(sed '/^# holds /d' "$stamp") || return 1
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
    [ -t 2 ] && quiet=() # a person sees how far it is
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip install "${quiet[@]}" --no-input --no-deps --no-compile --only-binary=:all: \
        --target "$incoming" --requirement "$1" "${@:2}" >&2
}

# Moves what was unpacked into the folder, entry by entry; a rename is whole or has not happened.
take_over() {
    local entry name
    taken=
    for entry in "$incoming"/*; do
        name=$(basename "$entry")
        # Small Python scripts that nothing here starts, and that packages share a folder for.
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

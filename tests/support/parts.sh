# What .ci/run and tests/run share: parts of a run, each with the time it took, and what was skipped. To be sourced.
#
# In: WIRESPIKE_NOTES, a folder that the caller made; without it a folder is made here, and removed at the end. Out: in that folder
# `times`, a line for each part; `skips`, a line `SKIPPED: what: why` for each test that was skipped; `failures`, what parts of the
# lab that failed have printed; `output`, what the last part printed on standard output. Tests in Rust add their skips to the file
# that WIRESPIKE_SKIPS names.

if [ -z "${WIRESPIKE_NOTES:-}" ]; then
    WIRESPIKE_NOTES=$(mktemp -d)
    export WIRESPIKE_NOTES
    trap 'rm -rf "$WIRESPIKE_NOTES"' EXIT
fi
notes=$WIRESPIKE_NOTES
WIRESPIKE_SKIPS=$notes/skips
export WIRESPIKE_SKIPS
touch "$notes/times" "$notes/skips" "$notes/failures" "$notes/output"

# part NAME COMMAND...: runs a part and shows what it prints. Returns the command's exit status.
part() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    began=$(date +%s)
    {
        if "$@"; then status=0; else status=$?; fi
        echo "$status" >"$notes/status"
    } | tee "$notes/output"
    took=$(($(date +%s) - began))
    printf '%s: %d min %02d s\n' "$name" $((took / 60)) $((took % 60)) | tee -a "$notes/times"
    return "$(cat "$notes/status")"
}

# skipped WHAT WHY: notes that something was skipped.
skipped() {
    printf 'SKIPPED: %s: %s\n' "$1" "$2" | tee -a "$notes/skips"
}

# Prints the skips that are failures in continuous integration: where a permission or a program is missing. What the kernel lacks
# may be skipped there too.
forbidden_skips() {
    grep -E ': (not installed|it needs root|it cannot be set up|no network namespaces|no permission)' "$notes/skips"
}

# What scripts of several timed steps share; sourced by them, with `place` the folder of their log.

timed() { # NAME COMMAND...: seconds go to `took`; a step that fails ends the script, with the end of what it said
    local name=$1 begun=$SECONDS status
    shift
    set +e # a function that is asked whether it fails goes on after its own failures
    (set -e; "$@") >"$place/log" 2>&1
    status=$?
    set -e
    if [[ $status != 0 ]]; then echo "$name FAILED:"; tail -40 "$place/log"; exit 1; fi
    took=$((SECONDS - begun))
}

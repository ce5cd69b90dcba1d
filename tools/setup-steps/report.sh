# shellcheck shell=bash disable=SC2154
# What the set-up says, and long steps with their progress.

# One line about something that is found or done.
report() { echo "setup: $*"; }

# Ends the set-up with one sentence that says what to do.
fail() {
    echo "error: $*" >&2
    exit 1
}

# retried COMMAND…: for what downloads and does not try again by itself, as cargo and pip do. A registry that does not answer
# for a moment shall not end a set-up of many minutes; what has arrived is kept by the command's own cache.
retried() {
    local attempt
    for attempt in 1 2 3; do
        if "$@"; then return; fi
        [ "$attempt" = 3 ] || sleep $((attempt * 5))
    done
    return 1
}

# long_step TITLE LOG COMMAND…: runs the command with its output in .tools/log/LOG and shows how long it has been at it.
# On failure it shows the end of the output and returns the command's status; with --quiet before the title it shows
# nothing, for steps that have another way out.
long_step() {
    local quiet=
    if [ "$1" = --quiet ]; then
        quiet=yes
        shift
    fi
    local title=$1 log=$tools/log/$2 child start=$SECONDS status=0
    shift 2
    if [ -t 1 ]; then printf 'setup: %s …' "$title"; else report "$title …"; fi
    "$@" >"$log" 2>&1 9>&- </dev/null &
    child=$!
    # What runs in the background doesn't get Ctrl-C by itself.
    trap 'kill "$child" 2>/dev/null; echo; exit 130' INT TERM
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if [ -t 1 ]; then printf '\rsetup: %s … %d s' "$title" $((SECONDS - start)); fi
    done
    wait "$child" || status=$?
    trap - INT TERM
    if [ -t 1 ]; then printf '\r\033[K'; fi
    if [ "$status" = 0 ]; then
        report "$title: done in $((SECONDS - start)) s"
    elif [ -z "$quiet" ]; then
        report "$title: failed after $((SECONDS - start)) s; the end of $log:"
        tail -n 12 "$log" | sed 's/^/    /' >&2
    fi
    return "$status"
}

#!/usr/bin/env bash
# A driver in thirty lines, with nothing but `clustd exec`: counts while this machine is the master.
#
#   ./driver.sh SERVICE [OPTIONS OF clustd exec]
#
# Called by a person or by systemd it becomes `clustd exec`, which waits until this machine is the master and then calls it again. When the
# mastership ends it gets TERM, and KILL if that does not help: whatever it has started is gone before another machine starts.
set -euo pipefail

if [ -z "${CLUSTD_MASTER:-}" ]; then
    exec clustd exec --service "$1" "${@:2}" -- "$(readlink -f "$0")"
fi

stop() {
    echo "$CLUSTD_SERVICE: stopped at $count"
    exit 0
}

trap stop TERM
count=0
echo "$CLUSTD_SERVICE: start under token $CLUSTD_TOKEN, because $CLUSTD_REASON"
while true; do
    count=$((count + 1)) # Hand $CLUSTD_TOKEN to what you write to.
    sleep 0.01
done

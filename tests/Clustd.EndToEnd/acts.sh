# The app of these tests: acts every few ms for as long as it lives. An act is one line into a pipe that all machines share, so
# the kernel puts all acts into one order. bash and not a program of ours: it starts in 2 ms, and its `read -t` sleeps without a child.
exec 3>"$E2E_ACTS" 4<>"$E2E_PAUSE"
while echo "$CLUSTD_SERVICE $CLUSTD_MACHINE $CLUSTD_TOKEN $$" >&3; do read -rt 0.003 -u 4; done

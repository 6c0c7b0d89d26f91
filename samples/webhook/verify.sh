#!/usr/bin/env bash
# Is this webhook clustd's? For a receiver that is a shell script (CGI, or a tool that runs a hook): the body comes on stdin, the headers in variables.
#
#   CLUSTD_WEBHOOK_SECRET=whsec_... WEBHOOK_ID=web-42-start WEBHOOK_TIMESTAMP=1674087231 WEBHOOK_SIGNATURE='v1,...' ./verify.sh < body
#
# Ends with 0 if it is, else with 1. Needs openssl.
set -euo pipefail
# The body may end with newlines, which `$(...)` would cut off.
body=$(cat; printf x); body=${body%x}
now=$(date +%s)
[[ $WEBHOOK_TIMESTAMP =~ ^[0-9]+$ ]] && (( now - WEBHOOK_TIMESTAMP <= 300 && WEBHOOK_TIMESTAMP - now <= 300 )) || exit 1
case $CLUSTD_WEBHOOK_SECRET in
    whsec_*) key=$(printf %s "${CLUSTD_WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n') ;;
    *)       key=$(printf %s "$CLUSTD_WEBHOOK_SECRET" | od -An -v -tx1 | tr -d ' \n') ;;
esac
# The key stands in the list of processes for that moment: on a machine with other users use receiver.py.
expected=v1,$(printf '%s.%s.%s' "$WEBHOOK_ID" "$WEBHOOK_TIMESTAMP" "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
for each in $WEBHOOK_SIGNATURE; do
    [ "$each" = "$expected" ] && exit 0
done
exit 1

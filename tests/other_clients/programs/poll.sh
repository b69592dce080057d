#!/bin/sh
# Polls with curl alone, whose ETag files are the cursor. Usage: poll.sh URL CHANNEL
etags=$(mktemp -d)
while :; do
    # Each answer's ETag goes into a file of its own: curl writes it before the body has come whole.
    if answer=$(curl -sf --max-time 10 --etag-compare "$etags/have" --etag-save "$etags/got" \
        "$1/push/poll?channels=$2"); then
        mv "$etags/got" "$etags/have"
        printf %s "$answer" | jq -c '.messages[].data, if .recovered then "live" else "lost" end' | tr -d \"
    fi
    sleep 0.3
done

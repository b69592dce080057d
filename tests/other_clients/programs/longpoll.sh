#!/bin/sh
# Long polls with curl; the cursor is a variable. Usage: longpoll.sh URL CHANNEL
cursor=
while :; do
    if answer=$(curl -sf --max-time 60 "$1/push/longpoll?channels=$2&cursor=$cursor"); then
        printf %s "$answer" | jq -c '.messages[].data, if .recovered then "live" else "lost" end' | tr -d \"
        cursor=$(printf %s "$answer" | jq -r .cursor)
    else
        sleep 0.1
    fi
done

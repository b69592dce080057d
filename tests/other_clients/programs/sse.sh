#!/bin/sh
# Reads server-sent events with curl. Usage: sse.sh URL CHANNEL [an option of curl, such as --http1.0]
cursor=$(mktemp)
while :; do
    curl -sfN $3 -H "Last-Event-ID: $(cat "$cursor")" "$1/push/sse?channels=$2" | while IFS= read -r line; do
        case $line in
        "event: "*) event=${line#event: } ;;
        "id: "*) id=${line#id: } ;;
        "data: "*) data=${line#data: } ;;
        "") # An event counts when it is whole, and so does its id.
            case $event in
            "" | live) printf '%s\n' "$data" ;;
            esac
            if [ "$id" ]; then printf %s "$id" >"$cursor"; fi
            event= id= data=
            ;;
        esac
    done | jq --unbuffered -r 'if .id then .data elif .recovered then "live" else "lost" end'
    sleep 0.1
done

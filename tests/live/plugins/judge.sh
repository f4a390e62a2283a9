#!/bin/sh
# A policy in a shell: whatever mentions "lottery" is refused.
while read -r line; do
    id=$(printf '%s\n' "$line" | sed -n 's/.*"event":{"id":"\([0-9a-f]*\)".*/\1/p')
    case $line in
    *lottery*) printf '{"id":"%s","action":"reject","msg":"no lotteries"}\n' "$id" ;;
    *) printf '{"id":"%s","action":"accept"}\n' "$id" ;;
    esac
done

#!/usr/bin/env bash
# Who is online, as any node tells it: ACCOUNT=user:password presence.sh http://node1:8080 … until Ctrl-C.
# With curl and jq. Client ids stay as JSON writes them.
set -u
declare -A epoch=() online=() # by client id
token=""                      # the place in the stream, empty for none

ask() { curl --silent --no-buffer --user "$ACCOUNT" "$@"; }

learn() { # client id, epoch, true or false: the reader's rule
    local known=${epoch[$1]:-0} was=${online[$1]:-false}
    if (($2 > known)) || { (($2 == known)) && [[ $was == true && $3 == false ]]; }; then
        epoch[$1]=$2 online[$1]=$3
        echo "$1 $3" >&2
    fi
}

learn_all() { # from this node; false if it did not tell all
    local cursor="" page client number is
    epoch=() online=()
    while [[ $cursor != null ]]; do
        page=$(ask --fail --max-time 30 "$1/clients?limit=1000${cursor:+&cursor=$cursor}") || return
        while IFS=$'\t' read -r number is client; do
            learn "$client" "$number" "$is"
        done < <(jq -r '.clients[] | "\(.epoch)\t\(.online)\t\(.client_id | tojson)"' <<<"$page")
        cursor=$(jq -r .cursor <<<"$page")
    done
}

heard() { # node, kind, epoch, client id
    case $2 in
    client_connected) learn "$4" "$3" true ;;
    client_disconnected) learn "$4" "$3" false ;;
    position) [[ -n $token ]] || learn_all "$1" ;; # all that the list tells lies behind this place
    esac
}

events() { # of one stream to its end, line by line, with epoch and client id as data; silent for 30 seconds it is dead
    ask --fail --speed-limit 1 --speed-time 30 --write-out 'status:%{http_code}\n' \
        --header "Last-Event-ID: $token" "$1/presence/events" |
        jq --raw-input --raw-output --unbuffered \
            'if startswith("data: ") | not then .
             else "data:" + (.[6:] | fromjson? // {} | "\(.epoch)\t\(.clientid | tojson)") end'
}

follow() { # one stream to its end
    local name value id="" has_id="" kind="" number="" client=""
    while IFS=: read -r name value; do
        case $name in
        id) id=${value# } has_id=1 ;;
        event) kind=${value# } ;;
        data) IFS=$'\t' read -r number client <<<"$value" ;;
        status) [[ $value != 410 ]] || token="" ;;
        "")
            heard "$1" "$kind" "$number" "$client" || return
            [[ -z $has_id ]] || token=$id # that of a gap is empty: begin anew
            has_id=""
            ;;
        esac
    done < <(events "$1")
}

state() {
    local client
    for client in "${!epoch[@]}"; do
        echo "{$client: {\"epoch\": ${epoch[$client]}, \"online\": ${online[$client]}}}"
    done | jq --slurp --compact-output 'add // {}'
}

trap 'state; exit' INT TERM
while true; do
    for node in "$@"; do
        follow "$node"
        sleep 0.2
    done
done

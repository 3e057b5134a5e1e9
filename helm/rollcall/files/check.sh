# Connect, publish, status, on every pod. $HOSTS are the pods' DNS names, separated by spaces; $ROLLCALL_USER and
# $ROLLCALL_PASSWORD an account that may connect.
set -u
fail() { echo "check: $*"; exit 1; }
# As the status query answers it: true or false.
answer() {
    rollcall status "$2" --url "http://$1:8080" --json --retries 20 | sed -n 's/.*"online":\([a-z]*\).*/\1/p'
}
# Waits up to 20 s: a connection's end is known when its claim is released.
awaited() {
    tries=0
    until [ "$(answer "$1" "$2")" = "$3" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 20 ] || fail "$1 does not say $3 of $2"
        sleep 1
    done
}
# Whether messages from one pod reach a subscriber on another, all of them. A node may be busy with a change of leaders, so
# that this is tried again.
published() {
    report=$(rollcall bench publish --target "$1:1883" --subscribe-target "$2:1883" --clients 1 --qos 1 --rate 20 \
        --duration-s 1 --warm-up-ms 0 --topic-prefix "$3" --username "$ROLLCALL_USER" --json) &&
        echo "$report" | grep -q '"missing": 0,' && echo "$report" | grep -q '"unacknowledged": 0,'
}
round=$(date +%s)
number=0
for host in $HOSTS; do
    client=chart-check-$round-$number
    rollcall bench connect --target "$host:1883" --count 1 --id-prefix "$client" --id-digits 1 --hold-s 120 \
        --username "$ROLLCALL_USER" --timeout-ms 20000 >/dev/null &
    connected=$!
    for asked in $HOSTS; do awaited "$asked" "${client}1" true; done
    kill "$connected" || fail "a client could not stay connected to $host"
    wait "$connected" 2>/dev/null
    for asked in $HOSTS; do awaited "$asked" "${client}1" false; done
    # To the next pod, and from the last one to the first: each sends once and receives once.
    subscriber=$(echo "$HOSTS $HOSTS" | tr ' ' '\n' | awk -v host="$host" 'found { print; exit } $0 == host { found = 1 }')
    tries=0
    until published "$host" "$subscriber" "$client"; do
        tries=$((tries + 1))
        [ "$tries" -lt 5 ] || fail "messages from $host to $subscriber: $report"
        sleep 2
    done
    echo "check: $host is well"
    number=$((number + 1))
done

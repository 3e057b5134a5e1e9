# Before the StatefulSet shrinks: every member whose pod goes leaves the cluster, one after the other, the highest first.
# A member is known by its name, `$PREFIX-<ordinal>`; those with an ordinal of $REPLICAS or more go. Run again it goes on
# where it was. It changes nothing when no member has to go, and nothing when one that stays is down.
set -u
began=$(date +%s)
say() { echo "leave: $*"; }
in_time() { [ $(($(date +%s) - began)) -lt "$WAIT_SECONDS" ]; }

# Lines of `<name> <state>`, state being alive, leaving or down.
members() { rollcall nodes | awk 'NR > 1 { print $1, $3 }'; }
listed() {
    list=$(members 2>&1) && [ -n "$list" ]
}
until listed; do
    in_time || { say "no node answers at $ROLLCALL_ADMIN_URL: $list"; exit 1; }
    say "no node answers yet"
    sleep 2
done

going=$(echo "$list" | awk -v prefix="$PREFIX-" -v replicas="$REPLICAS" '
    index($1, prefix) == 1 {
        ordinal = substr($1, length(prefix) + 1)
        if (ordinal ~ /^[0-9]+$/ && ordinal + 0 >= replicas + 0) print ordinal
    }' | sort -rnu)
[ -n "$going" ] || { say "no member has to go: $REPLICAS replicas are wanted"; exit 0; }

down=$(echo "$list" | awk -v prefix="$PREFIX-" -v replicas="$REPLICAS" '
    index($1, prefix) == 1 {
        ordinal = substr($1, length(prefix) + 1)
        if (ordinal ~ /^[0-9]+$/ && ordinal + 0 < replicas + 0) { known[$1] = 1; if ($2 == "alive") alive[$1] = 1 }
    }
    END { for (name in known) if (!(name in alive)) print name }')
[ -z "$down" ] || { say "nothing leaves while a member that stays is down: $down"; exit 1; }

for ordinal in $going; do
    name=$PREFIX-$ordinal
    told=no
    # A list that could not be read proves nothing: only one that is there and lacks the name ends the wait.
    until listed && ! echo "$list" | grep -q "^$name "; do
        in_time || { say "$name has not left within $WAIT_SECONDS s; upgrade again to go on"; exit 1; }
        if [ "$told" = no ] && rollcall leave "$name"; then
            told=yes
        fi
        sleep 2
    done
    say "$name has left"
done

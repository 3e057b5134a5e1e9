"""Who is online, as any node tells it: ACCOUNT=user:password python3 presence.py http://node1:8080 … until Ctrl-C."""
import base64, http.client, itertools, json, os, signal, sys, time, urllib.request

state, token = {}, ""  # client id -> (epoch, "connected" or "disconnected"); the place in the stream, "" for none
account = "Basic " + base64.b64encode(os.environ["ACCOUNT"].encode()).decode()

def ask(url, headers={}):  # a stream that says nothing for 30 seconds is dead
    return urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": account} | headers), timeout=30)

def learn(client, *news):  # the reader's rule: the highest epoch, and of one epoch its end, which is the later word
    before, state[client] = state.get(client), max(state.get(client, (0, "")), news)
    if state[client] != before: print(client, news[1], file=sys.stderr, flush=True)

def learn_all(url, query="limit=1000"):
    state.clear()
    while query:
        page = json.load(ask(f"{url}/clients?{query}"))
        for c in page["clients"]: learn(c["client_id"], c["epoch"], "connected" if c["online"] else "disconnected")
        query = page["cursor"] and "limit=1000&cursor=" + page["cursor"]

signal.signal(signal.SIGINT, lambda *_: sys.exit(print(json.dumps(state))))
for url in itertools.cycle(sys.argv[1:]):
    try:
        event = {}
        for line in ask(url + "/presence/events", {"Last-Event-ID": token}):
            name, _, event[name] = line.decode().rstrip("\r\n").partition(": ")
            if name or "data" not in event: continue  # an empty line ends an event
            kind, told = event["event"], json.loads(event["data"])
            if kind.startswith("client_"): learn(told["clientid"], told["epoch"], kind.removeprefix("client_"))
            elif kind == "position" and not token: learn_all(url)  # all that it tells lies behind this place
            token, event = event.get("id", token), {}  # that of a gap is empty: begin anew
    except (OSError, http.client.HTTPException) as failure:
        print(url, failure, file=sys.stderr)
        token = "" if getattr(failure, "code", 0) == 410 else token
    time.sleep(0.2)

"""The console in a real browser, on three real nodes: signing in, the map of the cluster, a device that comes and goes while
its answer is looked at, the list and a kick, who may do what, the quota, a node that dies, and a node that is older than the
page. In between each view is pictured, wide and narrow, light and dark, and held against the rules of accessibility.

    tests/console/run target/debug/rollcall
"""

import base64
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import checks
from browser import Browser
from devices import Device
from nodes import PASSWORD, Nodes
from selenium.webdriver.common.keys import Keys
from waiting import awaited

PICTURES = Path("target/console-screenshots")
DEVICES = 12
# A client id that is text wherever it is shown, and one path segment wherever it is asked about.
ODD_ID = "a/<b>bold</b>&amp; %2F #?é"
# The page says what a node tells within this; what is measured is mostly far less.
LIVE_S = 5
# A node's clients are offline within its lease and one second; a busy machine may elect a leader first.
LOST_S = 40


class Drill:
    def __init__(self, nodes, browser, axe):
        self.nodes, self.browser = nodes.all, browser
        self.checks = checks.Checks(browser, axe)
        self.began = time.monotonic()

    def say(self, what):
        print(f"console: {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def all(self):
        devices = [Device(f"VIN{n:07}", self.nodes[n % 3].mqtt) for n in range(1, DEVICES + 1)]
        for device in devices:
            device.publish(f"fleet/{device.client_id}", b"here")
        self.signs_in()
        self.cluster()
        self.look_up()
        self.odd_id()
        self.clients(devices)
        self.access()
        self.quota()
        self.keyboard()
        self.roles()
        self.node_dies()
        self.checks.no_complaints()
        self.older_node()
        self.own_node_dies()
        for device in devices:
            device.leave()

    # What follows is in the order in which it runs.

    def signs_in(self):
        browser = self.browser
        browser.width(1280)
        browser.colours("light")
        browser.open(self.nodes[0].url)
        browser.one("input[name=username]")
        self.checks.view("sign-in")
        browser.keys("admin", Keys.TAB, "not the password", Keys.ENTER)
        browser.shows(".problem", "not known here")
        self.checks.complaints("401")
        browser.keys(PASSWORD, Keys.ENTER)
        browser.one(".node")
        self.say("signed in with the keyboard, after a wrong password")

    def cluster(self):
        browser = self.browser
        browser.shows(".verdict", "All is well", LOST_S)
        awaited("three nodes are alive", lambda: len(browser.all(".node .pill.good")) == 3)
        awaited("each partition has one leader", lambda: len(browser.all(".copy.leads:not(.wide)")) == 6)
        awaited("this node tells its lease", lambda: len(browser.all(".node [role=meter]")) == 1)
        # Each node leads two of the six partitions, each with two more copies.
        awaited("a leader tells how far the copies are", lambda: browser.run(
            "return [...document.querySelectorAll('.copy')].filter((copy) => /level|−/.test(copy.innerText)).length") == 4)
        awaited("the plots are drawn", lambda: browser.run(
            "return [...document.querySelectorAll('.plot .line')].every((line) => line.getAttribute('d').includes('L'))"))
        self.checks.view("cluster")
        self.say("the map: three nodes, six leaders, a lease, and how far copies are")

    def look_up(self):
        """A device comes and goes, and the page shows it without being loaded again."""
        browser = self.browser
        browser.run("document.activeElement.blur()")
        browser.run("window.notLoadedAgain = true")
        browser.one("body").send_keys("/")
        awaited("`/` leads to the look-up", lambda: browser.run("return document.activeElement.id") == "look-up-id")
        browser.keys("VIN-LIVE", Keys.ENTER)
        browser.shows(".word", "OFFLINE")
        browser.shows(".link", "live")
        # The browser notes that nobody of that id is on record.
        self.checks.complaints("404")

        waits = []
        for node in (self.nodes[2], self.nodes[1]):
            device = Device("VIN-LIVE", node.mqtt)
            waits.append(self.turns("ONLINE"))
            browser.shows(".facts", node.name)
            device.leave()
            waits.append(self.turns("OFFLINE"))
        browser.shows(".facts", "normal")
        device = Device("VIN-LIVE", self.nodes[0].mqtt)
        waits.append(self.turns("ONLINE"))
        device.vanish()
        waits.append(self.turns("OFFLINE"))
        browser.shows(".events", "connection_lost")
        taken = Device("VIN-LIVE", self.nodes[0].mqtt)
        waits.append(self.turns("ONLINE"))
        device = Device("VIN-LIVE", self.nodes[1].mqtt)
        assert taken.gone.wait(LIVE_S), "a takeover hangs the old connection up"
        browser.shows(".facts", self.nodes[1].name)
        # Three visits of two transitions, one more beginning, and a takeover, which is an end and a beginning.
        awaited("the history has all nine transitions", lambda: len(browser.all(".events li")) == 9)
        browser.shows(".unseen[role=status]", "online on n2")
        assert browser.run("return window.notLoadedAgain") is True, "the page was loaded again"
        self.say(f"VIN-LIVE came and went; shown within {max(waits) * 1000:.0f} ms, median {sorted(waits)[len(waits) // 2] * 1000:.0f} ms")
        self.checks.view("look-up")
        self.live = device

    def turns(self, word):
        began = time.monotonic()
        awaited(f"the answer turns {word}", lambda: self.browser.text(".word") == word, LIVE_S, every=0.01)
        return time.monotonic() - began

    def odd_id(self):
        """An id is data: it is shown as it is, and asked about as it is."""
        device = Device(ODD_ID, self.nodes[1].mqtt)
        self.browser.run("location.hash = '#/clients'")
        link = awaited("the odd id is in the list", lambda: self.browser.run(
            "return [...document.querySelectorAll('td a.id')].find((link) => link.textContent === arguments[0])", ODD_ID))
        link.click()
        self.browser.shows(".word", "ONLINE")
        assert self.browser.text(".answer .id") == ODD_ID, self.browser.text(".answer .id")
        device.leave()
        self.turns("OFFLINE")
        self.say("an id of slashes, markup and escapes was looked up from the list")

    def clients(self, devices):
        browser = self.browser
        browser.run("location.hash = '#/clients'")
        field = browser.one("input[name=prefix]")
        field.send_keys("VIN00000")
        browser.shows("[role=status]", f"{DEVICES} clients")
        awaited("the address keeps the search", lambda: "prefix=VIN00000" in browser.run("return location.hash"))
        self.checks.view("clients")

        kicked = devices[4]
        button = browser.one(f"button[data-kick='{kicked.client_id}']")
        browser.run("arguments[0].focus()", button)
        browser.keys(Keys.ENTER)
        browser.one("dialog[open]")
        self.checks.picture("kick", 1280)
        # The focus begins on the harmless button; the one beside it is meant.
        browser.keys(Keys.TAB, Keys.ENTER)
        browser.shows(".notices", f"{kicked.client_id} was kicked")
        assert kicked.gone.wait(LIVE_S), "a kicked device is hung up"
        row = f"return [...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('{kicked.client_id}'))?.innerText ?? ''"
        awaited("the list shows it offline", lambda: "offline" in browser.run(row))
        browser.run("const state = document.querySelector('select[name=online]'); state.value = 'false'; state.dispatchEvent(new Event('input', { bubbles: true }))")
        browser.shows(".view > [role=status]", "1 client")
        field.send_keys("-nobody")
        browser.shows(".list", "No client is like that")
        self.say(f"{kicked.client_id} was found, kicked, and is among those offline")

    def access(self):
        browser = self.browser
        # Policies hold from the first one on, and whom none allows is not let in.
        self.asked("PUT", "policies/everybody", {"effect": "allow", "actions": ["connect", "pub", "sub"]})
        self.asked("PUT", "policies/no-home", {"effect": "deny", "actions": ["sub"], "resources": ["home/#"], "username": "client"})
        self.asked("PUT", "policies/no-home/place", {"place": 0})
        self.asked("PUT", "block-rules/thief", {"kind": "client_id", "include": "VIN666*", "remark": "reported stolen"})
        browser.run("location.hash = '#/access'")
        browser.shows("section[aria-labelledby=policies]", "no-home")
        browser.shows("section[aria-labelledby=users]", "viewer")
        browser.shows("section[aria-labelledby=blocks]", "VIN666*")
        browser.one("input[name=username]").send_keys("client")
        browser.one("input[name=client_id]").send_keys("VIN0000001")
        browser.run("const action = document.querySelector('select[name=action]'); action.value = 'sub'")
        browser.one("input[name=topic]").send_keys("home/door", Keys.ENTER)
        browser.shows(".explain .verdict", "DENIED")
        browser.shows(".explain .verdict", "no-home")
        self.checks.view("access")
        self.say("users, policies and block rules, and which policy forbids home/door")

    def quota(self):
        self.browser.run("location.hash = '#/quota'")
        self.browser.shows("h1", "Quota in use")
        awaited("the quota is told", lambda: len(self.browser.all(".limit .shares li")) == 3)
        self.browser.shows(".limit", "messages per second")
        self.checks.view("quota")
        self.say("the quota is shown, with the part of each node")

    def keyboard(self):
        """Everything is reached with the tab key, is named, and shows that it has the focus."""
        for view in ("cluster", "look-up", "clients", "access", "quota"):
            self.browser.run("location.hash = '#/' + arguments[0]", view)
            self.browser.one(f".view.{view}")
            self.checks.walk(view)
        self.say("all views were walked through with the tab key")

    def roles(self):
        """A viewer sees all and changes nothing; a token is as good as a password; a client has no business here."""
        browser = self.browser
        self.sign_out()
        browser.keys("viewer", Keys.TAB, PASSWORD, Keys.ENTER)
        browser.one(".view")
        browser.run("location.hash = '#/clients'")
        browser.one("button[data-kick=VIN0000001]").click()
        browser.one("dialog button.danger").click()
        browser.shows("dialog .problem", "needs the role operator")
        browser.keys(Keys.ESCAPE)
        awaited("Escape closes the dialog", lambda: not browser.all("dialog"))
        self.sign_out()
        browser.keys("client", Keys.TAB, PASSWORD, Keys.ENTER)
        browser.shows(".problem", "may not look at the cluster")
        self.checks.complaints("403")
        token = self.asked("POST", "tokens", {"role": "viewer", "expires_in_s": 600})["token"]
        browser.run("document.querySelector('input[value=token]').click()")
        browser.keys(token, Keys.ENTER)
        browser.one(".view")
        self.say("a viewer may not kick, a client may not look, a token may")

    def sign_out(self):
        self.browser.one("#sign-out").click()
        self.browser.one("input[name=username]")
        assert self.browser.run("return sessionStorage.getItem('rollcall.credential')") is None

    def node_dies(self):
        """The clients of a dead node turn offline by themselves, and the map says what is down."""
        browser, last = self.browser, self.nodes[2]
        lost = Device("VIN-LOST", last.mqtt)
        browser.run("location.hash = '#/look-up/VIN-LOST'")
        browser.shows(".word", "ONLINE")
        last.kill()
        began = time.monotonic()
        awaited("the answer turns OFFLINE", lambda: browser.text(".word") == "OFFLINE", LOST_S)
        took = time.monotonic() - began
        browser.shows(".events", "node_lost")
        browser.run("location.hash = '#/cluster'")
        browser.shows(".verdict", "n3 down", LOST_S)
        awaited("all partitions are led again", lambda: len(browser.all(".copy.leads:not(.wide)")) == 6, LOST_S)
        self.checks.picture("node-down", 1280)
        lost.gone.wait(LIVE_S)
        self.say(f"n3 was killed; its client was shown offline after {took:.1f} s, the map says that n3 is down")

    def older_node(self):
        """Against a node without the newer resources each view says so in their place and goes on."""
        browser = self.browser
        younger = browser.before_loading(
            """const answered = window.fetch;
            window.fetch = (url, options) => /api.v1.(cluster|clients|presence|quota)/.test(url)
              ? Promise.resolve(new Response('{"code":"not_found"}', { status: 404 })) : answered(url, options);"""
        )
        browser.run("location.hash = '#/cluster'")
        browser.driver.refresh()
        browser.one(".node")
        browser.shows(".note", "is an older one")
        for view, words in (("look-up/VIN0000001", "cannot tell clients"), ("clients", "cannot tell clients"), ("quota", "cannot tell the quota")):
            browser.run("location.hash = '#/' + arguments[0]", view)
            browser.shows(".empty", words)
        self.checks.no_complaints()
        younger()
        self.say("an older node: what it cannot tell is said, all else is shown")

    def own_node_dies(self):
        """An answer that nobody confirms any more is not shown as one."""
        self.browser.run("location.hash = '#/look-up/VIN0000001'")
        self.browser.driver.refresh()
        self.browser.shows(".answer.on .word", "ONLINE")
        self.nodes[0].kill()
        self.browser.shows(".answer.stale", "nobody confirms it now")
        self.browser.shows(".link", "trying again")
        self.checks.picture("no-answer", 1280)
        self.say("the node of the page was killed: the last answer is told as the last that was known")

    def asked(self, method, path, body):
        """A call of the management API as the administrator."""
        account = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.nodes[0].url}api/v1/{path}", json.dumps(body).encode(), {"Authorization": f"Basic {account}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer) if answer.status != 204 else None


def main():
    program, axe = sys.argv[1], Path(sys.argv[2]).read_text()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES.glob("*.png"):
        picture.unlink()
    with tempfile.TemporaryDirectory(prefix="console-nodes-") as folder, Nodes(str(Path(program).resolve()), Path(folder)) as nodes:
        with Browser(PICTURES) as browser:
            drill = Drill(nodes, browser, axe)
            try:
                drill.all()
            except BaseException:
                browser.picture("failed")
                print(f"--- the browser's console: {browser.errors()}")
                raise
        drill.say(f"all of it held; the pictures are in {PICTURES}")


if __name__ == "__main__":
    main()

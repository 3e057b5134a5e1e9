"""A device that holds an MQTT connection, and the question whether it is online as the reference puts it.

What does not belong here: where nodes are, and what they must answer.
"""

import base64
import socket
import struct
import subprocess
import time


def awaited(what, condition, within=30.0, every=0.2):
    """Waits until the condition gives something true, and returns that; fails with its last answer after `within`
    seconds."""
    end = time.monotonic() + within
    last = None
    while True:
        try:
            last = condition()
        except OSError as error:
            last = error
        else:
            if last:
                return last
        if time.monotonic() >= end:
            raise AssertionError(f"not within {within} s: {what}; last: {last!r}")
        time.sleep(every)


def text(value):
    """A string as MQTT writes it."""
    encoded = value.encode()
    return struct.pack("!H", len(encoded)) + encoded


class Device:
    """One MQTT 3.1.1 connection that is held open; its keep-alive is long enough for any step."""

    def __init__(self, host, client, user, password, port=1883):
        self.client = client
        self.made_of = (host, client, user, password, port)
        self.socket = socket.create_connection((host, port), timeout=10)
        body = text("MQTT") + bytes([4, 0xC2]) + struct.pack("!H", 600) + text(client) + text(user) + text(password)
        self.socket.sendall(bytes([0x10]) + remaining(len(body)) + body)
        answer = self.socket.recv(4)
        if answer != b"\x20\x02\x00\x00":
            self.socket.close()
            raise OSError(f"{client} was not let in: {answer.hex() or 'closed'}")

    def held(self):
        """Whether the node has not closed the connection."""
        self.socket.settimeout(0.01)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except TimeoutError:
            return True
        except OSError:
            return False

    def again(self):
        """Connects again, if it can."""
        self.close()
        self.__init__(*self.made_of)

    def close(self):
        """Goes without a word, as a device that loses its network."""
        self.socket.close()


def remaining(length):
    """A length as MQTT writes it."""
    digits = b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (0x80 if length else 0)])
        if not length:
            return digits


def asked(url, client, user, password):
    """The reference's curl line: the HTTP status and the body."""
    account = base64.b64encode(f"{user}:{password}".encode()).decode()
    ran = subprocess.run(
        [
            "curl", "--silent", "--max-time", "5", "--write-out", " %{http_code}",
            "--header", f"Authorization: Basic {account}", f"{url}/client-id/{client}/status",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    body, _, status = ran.stdout.rpartition(" ")
    return int(status or 0), body


class Reconnects:
    """Devices that connect again after they were hung up. On a machine that stands still for seconds a node's lease ends,
    and then it must hang up; more than a few times is no bad luck but a fault."""

    MOST = 3

    def __init__(self, say):
        self.say = say
        self.times = 0

    def look_after(self, device):
        """Lets the device connect again if its connection is gone."""
        if not device.held():
            self.times += 1
            assert self.times <= self.MOST, f"{device.client} lost its connection, the {self.times}th one to do so"
            self.say(f"{device.client} was hung up and connects again")
            awaited(f"{device.client} connects again", lambda: device.again() or True, 20)


def answers(url, client, online, user, password):
    """True when exactly that is the answer; otherwise nothing."""
    return asked(url, client, user, password) == (200, f'{{"online":{"true" if online else "false"}}}')

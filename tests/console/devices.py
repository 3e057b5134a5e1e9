"""MQTT devices: paho clients that hold a connection until they are told to go."""

import threading

import paho.mqtt.client as mqtt
from nodes import PASSWORD

CONNECT_S = 20


class Device:
    def __init__(self, client_id, port, version=mqtt.MQTTv5, keep_alive=60):
        self.client_id = client_id
        self.gone = threading.Event()
        self._connected = threading.Event()
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self._client.username_pw_set("client", PASSWORD)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.gone.set()
        self._client.connect("127.0.0.1", port, keep_alive)
        self._client.loop_start()
        if not self._connected.wait(CONNECT_S):
            raise OSError(f"{client_id} was not let in")

    def _on_connect(self, _client, _data, _flags, reason, _properties):
        if not reason.is_failure:
            self._connected.set()

    def publish(self, topic, payload):
        """One message at QoS 1, acknowledged."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(CONNECT_S)

    def leave(self):
        """Says goodbye, and goes."""
        self._client.disconnect()
        # The loop writes the goodbye; stopped sooner, it would not.
        self.gone.wait(CONNECT_S)
        self._client.loop_stop()

    def vanish(self):
        """Closes the socket without a word."""
        self._client.socket().shutdown(2)
        self._client.loop_stop()

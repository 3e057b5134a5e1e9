//! Statements that no test from outside can decide, with the reason.

use crate::bytes::Version::{V5, V311};
use crate::statement::{Statement, unseen};

const CLIENT: &str = "asks something of clients; the broker only receives";
const MAY: &str = "allows and does not demand";
const METHOD: &str =
    "no authenticator comes with the broker; the exchange is tested over sockets with one of the tests' own";
const INSIDE: &str = "happens inside the broker; only its consequences are seen, under other numbers";

pub(super) const ROWS: &[Statement] = &[
    unseen(V311, "MQTT-2.3.1-2", "A client takes an unused identifier for each new packet.", CLIENT),
    unseen(V311, "MQTT-2.3.1-3", "A client that sends again uses the same identifier.", CLIENT),
    unseen(V311, "MQTT-3.1.2-23", "A client sends something within each keep-alive.", CLIENT),
    unseen(V311, "MQTT-3.1.3-7", "A client with an empty id asks for a clean session.", CLIENT),
    unseen(V311, "MQTT-3.14.4-1", "After DISCONNECT the client ends the connection.", CLIENT),
    unseen(V311, "MQTT-3.3.1-7", "A retained message at QoS 0 may be discarded at any time.", MAY),
    unseen(V311, "MQTT-4.1.0-1", "Both sides keep session state for as long as it is due.", INSIDE),
    unseen(
        V311,
        "MQTT-4.8.0-2",
        "A transient error of the server ends the connection.",
        "no transient error can be made from outside",
    ),
    unseen(
        V5,
        "MQTT-2.2.1-4",
        "A server takes an unused identifier for each new packet.",
        "needs all 65 535 to be in use",
    ),
    unseen(V5, "MQTT-3.1.2-20", "A client sends something within each keep-alive.", CLIENT),
    unseen(
        V5,
        "MQTT-3.1.2-26",
        "No topic alias beyond the client's maximum is sent.",
        "whether aliases are sent at all is the server's choice",
    ),
    unseen(V5, "MQTT-3.14.4-1", "After DISCONNECT the client ends the connection.", CLIENT),
    unseen(V5, "MQTT-4.12.0-2", "What the server wants to know more of it asks in an AUTH of 0x18.", METHOD),
    unseen(V5, "MQTT-4.12.0-3", "A client answers an AUTH with an AUTH of 0x18.", CLIENT),
    unseen(V5, "MQTT-4.12.0-4", "A server that refuses an exchange ends the connection.", METHOD),
    unseen(V5, "MQTT-4.12.0-5", "Each AUTH, and the CONNACK, names the method of CONNECT.", METHOD),
    unseen(
        V5,
        "MQTT-4.12.0-6",
        "Without a method in CONNECT the server sends neither AUTH nor a method.",
        "a broker that is broken so cannot be made by spoiling packets: there are none",
    ),
    unseen(V5, "MQTT-4.12.0-7", "A client that named no method sends no AUTH.", CLIENT),
    unseen(V5, "MQTT-4.12.1-1", "A client authenticates again with the method of CONNECT.", CLIENT),
    unseen(V5, "MQTT-4.12.1-2", "Authentication that fails later ends the connection.", METHOD),
    unseen(V5, "MQTT-4.1.0-1", "Session state is not discarded while the connection is open.", INSIDE),
];

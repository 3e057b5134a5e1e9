//! Clients that others wrote: mosquitto, paho-python, rumqttc, at 3.1.1 and 5.

use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::{Cluster, deadline, tools};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ALL: [usize; 3] = [0, 1, 2];
pub(crate) const SOON: Duration = Duration::from_secs(15);
pub(crate) const KEEP_ALIVE_S: u64 = 5;
/// One and a half times the keep-alive, and the second that the end may be late.
const SILENT_OFFLINE_WITHIN: Duration = Duration::from_millis(KEEP_ALIVE_S * 1_500 + 1_000);

/// A client process, killed when the scenario is over.
pub(crate) struct Client(pub(crate) Child);

impl Client {
    pub(crate) fn start(command: &mut Command) -> Self {
        Client(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// The network is gone, as far as the server can see: sockets stay open, nothing comes.
    fn unplug(&self) {
        kill_process(Pid::from_child(&self.0), Signal::STOP).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn output(mut self) -> String {
        let status = deadline::until("the client ends by itself", SOON, || match self.0.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        assert!(status.success(), "{status}");
        std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn mosquitto(program: &str, to: SocketAddr, version: &str, id: &str, more: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", &to.ip().to_string(), "-p", &to.port().to_string(), "-V", version, "-i", id]);
    command.args(["-u", USER.0, "-P", USER.1, "-k", &KEEP_ALIVE_S.to_string()]).args(more);
    command
}

#[test]
fn mosquitto_clients_connect_subscribe_publish_and_are_offline_when_killed_or_unplugged() {
    let scenario = "mosquitto_pub and mosquitto_sub";
    if !tools::available(scenario, "the package mosquitto-clients", tools::program("mosquitto_sub")) {
        return;
    }
    let cluster = Cluster::of_three();
    let at = |place: usize| cluster.nodes[place].addresses.mqtt;
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let id = format!("sub-{version}");
        let listening = Client::start(&mut mosquitto("mosquitto_sub", at(0), version, &id, &["-t", "a/#", "-C", "1"]));
        cluster.wait_online(&ALL, &id, true, SOON);
        // It subscribes after its CONNACK; publish until it has heard.
        let mut listening = Some(listening);
        let heard = deadline::until("the message arrives", SOON, || {
            let publish = ["-t", "a/b", "-m", "hello"];
            let publisher = mosquitto("mosquitto_pub", at(1), version, &format!("pub-{version}"), &publish).status();
            assert!(publisher.unwrap().success());
            match listening.as_mut().unwrap().0.try_wait() {
                Ok(Some(_)) => Ok(listening.take().unwrap().output()),
                other => Err(format!("{other:?}")),
            }
        });
        assert_eq!(heard, "hello\n");
        cluster.wait_online(&ALL, &id, false, SOON);

        let mut killed = Client::start(&mut mosquitto("mosquitto_sub", at(2), version, "killed", &["-t", "x"]));
        let unplugged = Client::start(&mut mosquitto("mosquitto_sub", at(2), version, "unplugged", &["-t", "x"]));
        cluster.wait_online(&ALL, "killed", true, SOON);
        cluster.wait_online(&ALL, "unplugged", true, SOON);
        killed.kill();
        unplugged.unplug();
        cluster.wait_online(&ALL, "killed", false, SILENT_OFFLINE_WITHIN);
        cluster.wait_online(&ALL, "unplugged", false, SILENT_OFFLINE_WITHIN);
    }
}

const PAHO: &str = "
import sys, paho.mqtt.client as mqtt
host, port, client_id, version, user, password = sys.argv[1:]
protocol = mqtt.MQTTv5 if version == '5' else mqtt.MQTTv311
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
client.username_pw_set(user, password)
client.on_connect = lambda c, *rest: c.subscribe('echo/' + client_id)
client.on_subscribe = lambda c, *rest: c.publish('echo/' + client_id, 'heard')
client.on_message = lambda c, data, message: print(message.payload.decode(), flush=True)
client.connect(host, int(port), keepalive=5)
client.loop_forever(retry_first_connection=False)
";

#[test]
fn paho_for_python_connects_hears_its_own_message_and_is_offline_when_unplugged() {
    let python = tools::python_with_paho();
    let need = "Python with paho-mqtt, in target/interop-venv or installed";
    if !tools::available("paho for Python", need, python.is_some()) {
        return;
    }
    let cluster = Cluster::of_three();
    for (place, version) in [(0, "3"), (1, "5")] {
        let (to, id) = (cluster.nodes[place].addresses.mqtt, format!("paho-{version}"));
        let mut command = Command::new(python.as_ref().unwrap());
        command.args(["-c", PAHO, &to.ip().to_string(), &to.port().to_string(), &id, version, USER.0, USER.1]);
        let mut client = Client::start(&mut command);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(client.0.stdout.as_mut().unwrap()), &mut line)
            .unwrap();
        assert_eq!(line, "heard\n");
        cluster.assert_online(&ALL, &id, true);
        client.unplug();
        cluster.wait_online(&ALL, &id, false, SILENT_OFFLINE_WITHIN);
    }
}

#[test]
fn rumqttc_connects_at_3_1_1_and_5_and_hears_its_own_message() {
    let cluster = Cluster::of_three();
    let to = cluster.nodes[0].addresses.mqtt;

    let mut options = rumqttc::MqttOptions::new("rumqttc-3", to.ip().to_string(), to.port());
    options.set_credentials(USER.0, USER.1).set_keep_alive(Duration::from_secs(KEEP_ALIVE_S));
    let (client, mut connection) = rumqttc::Client::new(options, 10);
    client.subscribe("echo/3", rumqttc::QoS::AtMostOnce).unwrap();
    for event in connection.iter() {
        match event.unwrap() {
            rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_)) => {
                cluster.assert_online(&ALL, "rumqttc-3", true);
                client.publish("echo/3", rumqttc::QoS::AtMostOnce, false, "heard").unwrap();
            }
            rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => {
                assert_eq!(publish.payload, "heard");
                break;
            }
            _ => {}
        }
    }
    drop((client, connection));
    cluster.wait_online(&ALL, "rumqttc-3", false, SOON);

    use rumqttc::v5;
    let mut options = v5::MqttOptions::new("rumqttc-5", to.ip().to_string(), to.port());
    options.set_credentials(USER.0, USER.1).set_keep_alive(Duration::from_secs(KEEP_ALIVE_S));
    let (client, mut connection) = v5::Client::new(options, 10);
    client.subscribe("echo/5", v5::mqttbytes::QoS::AtMostOnce).unwrap();
    for event in connection.iter() {
        match event.unwrap() {
            v5::Event::Incoming(v5::mqttbytes::v5::Packet::SubAck(_)) => {
                cluster.assert_online(&ALL, "rumqttc-5", true);
                client.publish("echo/5", v5::mqttbytes::QoS::AtMostOnce, false, "heard").unwrap();
            }
            v5::Event::Incoming(v5::mqttbytes::v5::Packet::Publish(publish)) => {
                assert_eq!(publish.payload, "heard");
                break;
            }
            _ => {}
        }
    }
    drop((client, connection));
    cluster.wait_online(&ALL, "rumqttc-5", false, SOON);
}

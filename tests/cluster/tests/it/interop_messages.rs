//! Messages of clients that others wrote: QoS 1 and 2, retained messages and wills, with the publisher on one node, the
//! subscriber on the second and the client that dies on the third. All tell what arrived in the same words.

use crate::interop::{Client, KEEP_ALIVE_S, SOON, mosquitto};
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::{Cluster, tools};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;
const DOOMED: usize = 2;
/// Messages at each QoS.
const NUMBERS: usize = 5;
/// The retained message, the numbers at both QoS, the will.
const ARRIVALS: usize = 1 + 2 * NUMBERS + 1;
const DOOMED_KEEP_ALIVE_S: u64 = 60;

/// Every arrival is a line: topic, QoS, RETAIN, payload. Between two topics there is no order.
fn assert_heard(id: &str, lines: &str) {
    let mut heard: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.lines() {
        let (topic, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} among {lines}"));
        let topic = topic.strip_prefix(id).unwrap_or_else(|| panic!("{line:?} among {lines}"));
        heard.entry(topic).or_default().push(rest);
    }
    let numbers = |qos: usize| (0..NUMBERS).map(|number| format!("{qos} 0 {number}")).collect::<Vec<_>>();
    let (at_1, at_2) = (numbers(1), numbers(2));
    let expected = BTreeMap::from([
        ("/kept", vec!["1 1 kept"]),
        ("/1", at_1.iter().map(String::as_str).collect()),
        ("/2", at_2.iter().map(String::as_str).collect()),
        ("/will", vec!["2 0 gone"]),
    ]);
    assert_eq!(heard, expected, "{id}");
}

#[test]
fn messages_of_mosquitto_clients_keep_their_qos_retained_ones_and_wills_included() {
    let scenario = "messages of mosquitto_pub and mosquitto_sub";
    if !tools::available(scenario, "the package mosquitto-clients", tools::program("mosquitto_sub")) {
        return;
    }
    let cluster = Cluster::of_three();
    let at = |place: usize| cluster.nodes[place].addresses.mqtt;
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let id = format!("mosquitto-{version}");
        let publish = |more: &[&str], lines: &str| {
            let mut command = mosquitto("mosquitto_pub", at(PUBLISHER), version, &format!("{id}-pub"), more);
            let mut publisher = command.stdin(Stdio::piped()).spawn().unwrap();
            publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            assert!(publisher.wait().unwrap().success(), "{more:?}");
        };
        publish(&["-q", "1", "-r", "-t", &format!("{id}/kept"), "-m", "kept"], "");

        let (filter, count) = (format!("{id}/#"), ARRIVALS.to_string());
        let listen = ["-q", "2", "-t", &filter, "-C", &count, "-W", "30", "-F", "%t %q %r %p"];
        let mut listening =
            Client::start(&mut mosquitto("mosquitto_sub", at(SUBSCRIBER), version, &format!("{id}-sub"), &listen));
        let mut output = BufReader::new(listening.0.stdout.take().unwrap());
        // The retained message comes after SUBACK.
        let mut lines = String::new();
        output.read_line(&mut lines).unwrap();

        let numbers: String = (0..NUMBERS).map(|number| format!("{number}\n")).collect();
        for qos in ["1", "2"] {
            publish(&["-q", qos, "-t", &format!("{id}/{qos}"), "-l"], &numbers);
        }
        let (doomed_id, will) = (format!("{id}-doomed"), format!("{id}/will"));
        let dies = ["-t", "x", "--will-topic", &will, "--will-payload", "gone", "--will-qos", "2"];
        let mut doomed = Client::start(&mut mosquitto("mosquitto_sub", at(DOOMED), version, &doomed_id, &dies));
        cluster.wait_online(&ALL, &doomed_id, true, SOON);
        doomed.kill();
        output.read_to_string(&mut lines).unwrap();
        assert_heard(&id, &lines);
    }
}

/// Runs a program that gets three addresses, a prefix and the account, and tells what arrived.
fn assert_heard_by(mut command: Command, cluster: &Cluster, id: &str, version: &str) {
    for place in [PUBLISHER, SUBSCRIBER, DOOMED] {
        let to = cluster.nodes[place].addresses.mqtt;
        command.arg(to.ip().to_string()).arg(to.port().to_string());
    }
    let client = Client::start(command.args([id, version, USER.0, USER.1, &ARRIVALS.to_string()]));
    assert_heard(id, &client.output());
}

const PAHO: &str = "
import sys, threading, paho.mqtt.client as mqtt
hosts, (prefix, version, user, password, count) = sys.argv[1:7], sys.argv[7:]
protocol = mqtt.MQTTv5 if version == '5' else mqtt.MQTTv311
left, done, kept = int(count), threading.Event(), threading.Event()
def client(place, role):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=prefix + '-' + role, protocol=protocol)
    made.username_pw_set(user, password)
    return made
def connect(made, place):
    up = threading.Event()
    made.on_connect = lambda *rest: up.set()
    made.connect(hosts[2 * place], int(hosts[2 * place + 1]), keepalive=60)
    made.loop_start()
    assert up.wait(10)
def heard(client, data, message):
    global left
    print(message.topic, message.qos, int(message.retain), message.payload.decode(), flush=True)
    kept.set()
    left -= 1
    if left == 0:
        done.set()
publisher, subscriber, doomed = client(0, 'pub'), client(1, 'sub'), client(2, 'doomed')
connect(publisher, 0)
publisher.publish(prefix + '/kept', 'kept', qos=1, retain=True).wait_for_publish(10)
subscriber.on_message = heard
connect(subscriber, 1)
subscriber.subscribe(prefix + '/#', qos=2)
assert kept.wait(10)
sent = [publisher.publish(prefix + '/' + str(qos), str(number), qos=qos) for number in range(5) for qos in (1, 2)]
for message in sent:
    message.wait_for_publish(10)
    assert message.is_published()
doomed.will_set(prefix + '/will', 'gone', qos=2)
connect(doomed, 2)
doomed.loop_stop()
doomed.socket().close()
assert done.wait(10)
publisher.disconnect()
subscriber.disconnect()
";

#[test]
fn messages_of_paho_for_python_keep_their_qos_retained_ones_and_wills_included() {
    let python = tools::python_with_paho();
    let need = "Python with paho-mqtt, in target/interop-venv or installed";
    if !tools::available("messages of paho for Python", need, python.is_some()) {
        return;
    }
    let cluster = Cluster::of_three();
    for version in ["3", "5"] {
        let mut command = Command::new(python.as_ref().unwrap());
        command.args(["-c", PAHO]);
        assert_heard_by(command, &cluster, &format!("paho-{version}"), version);
    }
}

const MQTT_JS: &str = "
const [modules, ...rest] = process.argv.slice(1)
const mqtt = require(modules)
const [hosts, [prefix, version, username, password, count]] = [rest.slice(0, 6), rest.slice(6)]
const connect = (place, role, will) => mqtt.connectAsync({
  host: hosts[2 * place], port: Number(hosts[2 * place + 1]), clientId: prefix + '-' + role, username, password, will,
  protocolVersion: version === '5' ? 5 : 4, reconnectPeriod: 0
})
async function main () {
  let left = Number(count)
  const publisher = await connect(0, 'pub')
  await publisher.publishAsync(prefix + '/kept', 'kept', { qos: 1, retain: true })
  const subscriber = await connect(1, 'sub')
  let keptCame
  const kept = new Promise(resolve => { keptCame = resolve })
  const done = new Promise(resolve => {
    subscriber.on('message', (topic, payload, packet) => {
      console.log(topic, packet.qos, Number(packet.retain), payload.toString())
      keptCame()
      if (--left === 0) resolve()
    })
  })
  await subscriber.subscribeAsync(prefix + '/#', { qos: 2 })
  await kept
  const sent = []
  for (let number = 0; number < 5; number++) {
    for (const qos of [1, 2]) sent.push(publisher.publishAsync(prefix + '/' + qos, String(number), { qos }))
  }
  await Promise.all(sent)
  const doomed = await connect(2, 'doomed', { topic: prefix + '/will', payload: 'gone', qos: 2 })
  doomed.stream.destroy()
  await done
  await publisher.endAsync()
  await subscriber.endAsync()
}
main().catch(error => { console.error(error); process.exit(1) })
";

#[test]
fn messages_of_mqtt_js_keep_their_qos_retained_ones_and_wills_included() {
    let modules = tools::mqtt_js();
    let need = "Node.js, and MQTT.js in target/interop-node";
    if !tools::available("messages of MQTT.js", need, modules.is_some()) {
        return;
    }
    let cluster = Cluster::of_three();
    for version in ["3", "5"] {
        let mut command = Command::new("node");
        command.args(["-e", MQTT_JS]).arg(modules.as_ref().unwrap());
        assert_heard_by(command, &cluster, &format!("mqttjs-{version}"), version);
    }
}

/// The same with rumqttc, whose types for the two versions only have their names in common.
macro_rules! rumqttc_hears {
    ($cluster:expr, $id:expr, $module:path, $packet:path, $qos:path, $will:expr, $topic:expr) => {{
        use $module as rumqttc;
        use $packet as Packet;
        use $qos as QoS;
        let (cluster, id): (&Cluster, &str) = ($cluster, $id);
        let options = |place: usize, role: &str| {
            let to = cluster.nodes[place].addresses.mqtt;
            let mut options = rumqttc::MqttOptions::new(format!("{id}-{role}"), to.ip().to_string(), to.port());
            options.set_credentials(USER.0, USER.1).set_keep_alive(Duration::from_secs(KEEP_ALIVE_S));
            options
        };
        let (publisher, mut publishing) = rumqttc::Client::new(options(PUBLISHER, "pub"), 2 * ARRIVALS);
        let (subscriber, mut subscribing) = rumqttc::Client::new(options(SUBSCRIBER, "sub"), ARRIVALS);
        let mut doomed = options(DOOMED, "doomed");
        doomed.set_keep_alive(Duration::from_secs(DOOMED_KEEP_ALIVE_S)).set_last_will($will);
        let (_doomed, mut dying) = rumqttc::Client::new(doomed, 1);

        publisher.publish(format!("{id}/kept"), QoS::AtLeastOnce, true, "kept").unwrap();
        let kept = publishing.iter().any(|event| matches!(event.unwrap(), rumqttc::Event::Incoming(Packet::PubAck(_))));
        assert!(kept);
        // Has to be driven from here on, as the publisher has.
        let publishing = std::thread::spawn(move || publishing.iter().take_while(Result::is_ok).count());
        subscriber.subscribe(format!("{id}/#"), QoS::ExactlyOnce).unwrap();
        let (mut lines, began) = (String::new(), Instant::now());
        while lines.lines().count() < ARRIVALS {
            assert!(began.elapsed() < SOON, "{id} heard {lines}");
            let Ok(event) = subscribing.recv_timeout(Duration::from_secs(1)) else { continue };
            let rumqttc::Event::Incoming(Packet::Publish(publish)) = event.unwrap() else { continue };
            let (topic, payload): (String, _) = ($topic(&publish), String::from_utf8_lossy(&publish.payload));
            lines.push_str(&format!("{topic} {} {} {payload}\n", publish.qos as u8, u8::from(publish.retain)));
            match lines.lines().count() {
                1 => {
                    for number in 0..NUMBERS {
                        for (qos, level) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
                            publisher.publish(format!("{id}/{level}"), qos, false, number.to_string()).unwrap();
                        }
                    }
                }
                lines if lines == ARRIVALS - 1 => {
                    let connected = |event| matches!(event, Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))));
                    assert!(dying.iter().any(connected));
                    // Nobody drives it any more: its socket is closed without a word.
                    drop(std::mem::replace(&mut dying, rumqttc::Client::new(options(DOOMED, "unused"), 1).1));
                }
                _ => {}
            }
        }
        assert_heard(id, &lines);
        publisher.disconnect().unwrap();
        publishing.join().unwrap();
    }};
}

#[test]
fn messages_of_rumqttc_keep_their_qos_retained_ones_and_wills_included() {
    let cluster = Cluster::of_three();
    {
        let will = rumqttc::LastWill::new("rumqttc-3/will", "gone", rumqttc::QoS::ExactlyOnce, false);
        let topic = |publish: &rumqttc::Publish| publish.topic.clone();
        rumqttc_hears!(&cluster, "rumqttc-3", rumqttc, rumqttc::Packet, rumqttc::QoS, will, topic);
    }
    {
        use rumqttc::v5::mqttbytes::{QoS, v5};
        let will = v5::LastWill::new("rumqttc-5/will", "gone", QoS::ExactlyOnce, false, None);
        let topic = |publish: &v5::Publish| String::from_utf8_lossy(&publish.topic).into_owned();
        rumqttc_hears!(
            &cluster,
            "rumqttc-5",
            ::rumqttc::v5,
            ::rumqttc::v5::mqttbytes::v5::Packet,
            ::rumqttc::v5::mqttbytes::QoS,
            will,
            topic
        );
    }
}

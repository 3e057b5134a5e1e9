//! Which node gets which message: those whose subscribers want it, from the SUBACK on.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, deadline, metrics};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// MQTT 5.0, 3.4.2.1.
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
const WITHIN: Duration = Duration::from_secs(10);
/// SUBSCRIBEs that are followed at once by a publish on each other node.
const ROUNDS: usize = 200;
const GROUP: &str = "$share/g/jobs/+";
/// Messages published on each node.
const MESSAGES: usize = 300;
/// Messages that one publisher has under way.
const WINDOW: usize = 32;
/// Nothing more comes after this much silence.
const QUIET: Duration = Duration::from_millis(500);
/// A publisher stands still for so long at most: a lease, its margins, a fence and an election.
const STANDS_STILL_AT_MOST: Duration = Duration::from_secs(30);

/// The payload of the next message.
fn take(connection: &mut Connection) -> String {
    loop {
        match connection.next(WITHIN) {
            Arrival::Packet(packet) => {
                connection.answer(&packet).unwrap();
                if let Some(message) = packet.delivered(connection.version()) {
                    return String::from_utf8(message.payload).unwrap();
                }
            }
            other => panic!("no message but {other:?}"),
        }
    }
}

/// Messages that a node was handed by the others.
fn received(cluster: &Cluster, place: usize) -> f64 {
    let samples = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_peer_messages_received_total");
    samples.unwrap().iter().map(|sample| sample.value).sum()
}

#[test]
fn whatever_is_published_after_the_suback_arrives_from_any_node() {
    let cluster = Cluster::of_three();
    let mut subscriber = cluster.connect(0, "subscriber");
    let mut publishers = [1, 2].map(|place| cluster.connect(place, &format!("publisher-{place}")));
    for round in 0..ROUNDS {
        let topic = format!("round/{round}");
        let filter = if round % 4 == 3 { format!("$share/g/{topic}") } else { topic.clone() };
        assert_eq!(subscriber.subscribe_at(&filter, 1), Ok(Vec::new()));
        // Which one comes first changes, since the one before has given the other time.
        publishers.rotate_left(1);
        for publisher in &mut publishers {
            assert_eq!(publisher.publish_acknowledged(&topic, topic.as_bytes(), false), Ok(0));
            assert_eq!(take(&mut subscriber), topic, "round {round}");
        }
    }
}

#[test]
fn what_nobody_wants_there_does_not_cross() {
    let cluster = Cluster::of_three();
    let mut here = cluster.connect(0, "here");
    let mut there = cluster.connect(1, "there");
    let mut publisher = cluster.connect(0, "publisher");
    assert_eq!(here.subscribe_at("a/#", 1), Ok(Vec::new()));
    assert_eq!(there.subscribe_at("a/+/wanted", 1), Ok(Vec::new()));
    // Until the other nodes have told theirs, they get everything.
    deadline::until("nothing crosses", WITHIN, || {
        let before = [received(&cluster, 1), received(&cluster, 2)];
        assert_eq!(publisher.publish_acknowledged("a/b/first", b"", true), Ok(0));
        let after = [received(&cluster, 1), received(&cluster, 2)];
        if before == after { Ok(()) } else { Err(format!("{before:?}, then {after:?}")) }
    });
    let before = [received(&cluster, 1), received(&cluster, 2)];
    for number in 0..20 {
        for topic in ["a/b/unwanted", "a/b/wanted", "x"] {
            let payload = format!("{topic} {number}");
            let code = if topic == "x" { NO_MATCHING_SUBSCRIBERS } else { 0 };
            assert_eq!(publisher.publish_acknowledged(topic, payload.as_bytes(), number % 2 == 0), Ok(code));
        }
    }
    let after = [received(&cluster, 1), received(&cluster, 2)];
    assert_eq!([after[0] - before[0], after[1] - before[1]], [20.0, 0.0]);
    for number in 0..20 {
        assert_eq!(take(&mut there), format!("a/b/wanted {number}"));
    }
}

/// Publishes numbers at QoS 1, some at once, until each is acknowledged.
fn publish_all(publisher: &mut Connection, name: &str, numbers: std::ops::Range<usize>) {
    let topic = format!("jobs/{name}");
    let mut under_way = 0;
    let mut next = numbers.start;
    while next < numbers.end || under_way > 0 {
        if next < numbers.end && under_way < WINDOW {
            let id = u16::try_from(next + 1).unwrap();
            publisher.send_publish(&topic, format!("{name}-{next}").as_bytes(), 1, id).unwrap();
            (next, under_way) = (next + 1, under_way + 1);
            continue;
        }
        match publisher.next(STANDS_STILL_AT_MOST) {
            Arrival::Packet(packet) => {
                let (_, code) = packet.acknowledgement().unwrap();
                assert!(code < 0x80, "{name}: {packet:?}");
                under_way -= 1;
            }
            other => panic!("{name}: {under_way} not acknowledged: {other:?}"),
        }
    }
}

/// What comes to a member until `over` says so and nothing more comes, or the connection is over.
fn hear(member: &mut Connection, over: &AtomicBool) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let was_over = over.load(Ordering::SeqCst);
        match member.next(QUIET) {
            Arrival::Packet(packet) => {
                let _ = member.answer(&packet);
                let message = packet.delivered(member.version());
                heard.extend(message.map(|message| String::from_utf8(message.payload).unwrap()));
            }
            Arrival::Silence if was_over => return heard,
            Arrival::Silence => {}
            Arrival::Closed(_) => return heard,
        }
    }
}

fn member(cluster: &Cluster, place: usize) -> Connection {
    let mut member = cluster.connect(place, &format!("member-{place}"));
    assert_eq!(member.subscribe_at(GROUP, 1), Ok(Vec::new()));
    member
}

fn sorted(heard: &[Vec<String>]) -> Vec<String> {
    let mut all: Vec<String> = heard.iter().flatten().cloned().collect();
    all.sort_unstable();
    all
}

fn published(places: &[usize], numbers: std::ops::Range<usize>) -> Vec<String> {
    let named = |place: &usize| numbers.clone().map(move |number| format!("{place}-{number}")).collect::<Vec<_>>();
    let mut all: Vec<String> = places.iter().flat_map(named).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_group_over_all_nodes_gets_each_message_once_in_the_cluster() {
    let cluster = Cluster::of_three();
    let mut members = [0, 1, 2].map(|place| member(&cluster, place));
    let mut plain = cluster.connect(1, "plain");
    assert_eq!(plain.subscribe_at("jobs/+", 1), Ok(Vec::new()));
    let over = AtomicBool::new(false);
    let (heard, all) = std::thread::scope(|scope| {
        let hearing: Vec<_> = members.iter_mut().map(|member| scope.spawn(|| hear(member, &over))).collect();
        let hearing_all = scope.spawn(|| hear(&mut plain, &over));
        let publishing = [0, 1, 2].map(|place| {
            let mut publisher = cluster.connect(place, &format!("publisher-{place}"));
            scope.spawn(move || publish_all(&mut publisher, &place.to_string(), 0..MESSAGES))
        });
        publishing.into_iter().for_each(|one| one.join().unwrap());
        over.store(true, Ordering::SeqCst);
        let heard: Vec<_> = hearing.into_iter().map(|one| one.join().unwrap()).collect();
        (heard, hearing_all.join().unwrap())
    });
    assert_eq!(sorted(&heard), published(&[0, 1, 2], 0..MESSAGES), "each once");
    for heard in &heard {
        assert!(heard.len() * 6 > MESSAGES * 3, "no member is left out: {:?}", heard.len());
    }
    assert_eq!(sorted(&[all]), published(&[0, 1, 2], 0..MESSAGES), "plain subscribers get all");
}

/// The node that dies takes nothing in the time before, so that everything it was chosen for has to go to another.
#[test]
fn what_a_dead_node_was_chosen_for_goes_to_members_on_others() {
    let mut cluster = Cluster::of_three();
    let victim = (cluster.leader() + 1) % 3;
    let living = cluster.others(victim);
    let mut members: Vec<_> = living.iter().map(|place| member(&cluster, *place)).collect();
    let mut doomed = member(&cluster, victim);
    let over = AtomicBool::new(false);
    let mut publishers: Vec<_> =
        living.iter().map(|place| (*place, cluster.connect(*place, &format!("publisher-{place}")))).collect();
    // All three serve.
    let first = WINDOW * 2;
    for (place, publisher) in &mut publishers {
        publish_all(publisher, &place.to_string(), 0..first);
    }
    let mut before = Vec::new();
    while let Arrival::Packet(packet) = doomed.next(QUIET) {
        doomed.answer(&packet).unwrap();
        before.extend(packet.delivered(doomed.version()).map(|message| String::from_utf8(message.payload).unwrap()));
    }
    assert!(!before.is_empty(), "it serves");
    cluster.nodes[victim].pause();
    let mut heard: Vec<Vec<String>> = std::thread::scope(|scope| {
        let over = &over;
        let hearing: Vec<_> = members.iter_mut().map(|member| scope.spawn(move || hear(member, over))).collect();
        let publishing: Vec<_> = publishers
            .iter_mut()
            .map(|(place, publisher)| {
                scope.spawn(move || publish_all(publisher, &place.to_string(), first..first + MESSAGES))
            })
            .collect();
        cluster.nodes[victim].kill();
        publishing.into_iter().for_each(|one| one.join().unwrap());
        over.store(true, Ordering::SeqCst);
        hearing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    heard.push(before);
    assert_eq!(sorted(&heard), published(&living, 0..first + MESSAGES), "none lost, none doubled");
}

/// A member that leaves for good: what it had not acknowledged goes to a member on another node.
#[test]
fn what_a_member_leaves_goes_to_members_on_other_nodes() {
    let cluster = Cluster::of_three();
    let mut gone = member(&cluster, 0);
    let mut publisher = cluster.connect(2, "publisher");
    publish_all(&mut publisher, "2", 0..20);
    let mut stays = member(&cluster, 1);
    let Arrival::Packet(_) = gone.next(WITHIN) else { panic!("no message") };
    gone.disconnect().ok();
    let mut heard = Vec::new();
    while heard.len() < 20 {
        heard.push(take(&mut stays));
    }
    assert_eq!(sorted(&[heard]), published(&[2], 0..20));
    assert_eq!(stays.next(QUIET), Arrival::Silence);
}

/// While a member somewhere has a connection, nothing waits for one that is away.
#[test]
fn members_with_a_connection_come_first_wherever_they_are() {
    let cluster = Cluster::of_three();
    let connect = Connect { clean: false, ..Connect::new(Version::V311, "away") };
    let mut away = cluster.connect_as(0, &connect);
    assert_eq!(away.subscribe_at(GROUP, 1), Ok(Vec::new()));
    let mut here = member(&cluster, 1);
    let mut publisher = cluster.connect(2, "publisher");
    drop(away);
    let mut next = 0;
    let mut batch = |here: &mut Connection, size: usize| {
        publish_all(&mut publisher, "2", next..next + size);
        next += size;
        let mut heard = Vec::new();
        while let Arrival::Packet(packet) = here.next(QUIET) {
            here.answer(&packet).unwrap();
            heard.extend(packet.delivered(here.version()));
        }
        heard.len()
    };
    deadline::until("all go to the member with a connection", WITHIN, || match batch(&mut here, 8) {
        8 => Ok(()),
        less => Err(format!("{less} of 8")),
    });
    assert_eq!(batch(&mut here, 60), 60);
}

/// Messages that one member of each node, and two of the first, hear from each publisher: one on each node, and the last
/// one goes on from another node.
fn given(strategy: &'static str) -> Vec<Vec<usize>> {
    let cluster = Cluster::start(Options { shared_strategy: strategy, ..Options::default() });
    let mut members: Vec<_> = [0, 0, 1, 2]
        .into_iter()
        .enumerate()
        .map(|(number, place)| {
            let mut member = cluster.connect(place, &format!("member-{number}"));
            assert_eq!(member.subscribe_at(GROUP, 1), Ok(Vec::new()));
            member
        })
        .collect();
    let over = AtomicBool::new(false);
    let heard: Vec<Vec<String>> = std::thread::scope(|scope| {
        let hearing: Vec<_> = members.iter_mut().map(|member| scope.spawn(|| hear(member, &over))).collect();
        for name in 0..12 {
            for (half, place) in [name % 3, (name + 1) % 3].into_iter().enumerate() {
                let mut publisher = cluster.connect(place, &format!("publisher-{name}"));
                publish_all(&mut publisher, &name.to_string(), half * 20..(half + 1) * 20);
            }
        }
        over.store(true, Ordering::SeqCst);
        hearing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(sorted(&heard), published(&(0..12).collect::<Vec<_>>(), 0..40), "each once");
    let of = |name: usize, heard: &Vec<String>| heard.iter().filter(|one| one.starts_with(&format!("{name}-"))).count();
    (0..12).map(|name| heard.iter().map(|heard| of(name, heard)).collect()).collect()
}

/// In order, too: one member gets all of a publisher, whichever node it publishes on.
#[test]
fn by_the_hash_of_the_client_one_member_gets_all_of_a_publisher() {
    let given = given("hash_of_client");
    assert!(given.iter().all(|counts| counts.iter().filter(|count| **count == 40).count() == 1), "{given:?}");
    let busy = (0..4).filter(|member| given.iter().any(|counts| counts[*member] > 0)).count();
    assert!(busy > 1, "not all publishers have the same one: {given:?}");
}

#[test]
fn by_chance_every_member_gets_some_of_the_messages() {
    let given = given("random");
    let all: Vec<usize> = (0..4).map(|member| given.iter().map(|counts| counts[member]).sum()).collect();
    assert!(all.iter().all(|count| (60..=180).contains(count)), "{all:?}");
    assert_ne!(all, [120; 4], "as good as impossible");
}

//! The whole measurement against a broker of the test, which may lose messages or grant less than was asked for.

use super::{
    frames::{self, Frames, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL},
    measure,
};
use crate::{
    cli::{BenchCommand, BenchPublishArguments, Cli, Command},
    in_test_server::{InTestServer, serve},
};
use clap::Parser;
use std::sync::{Arc, Mutex};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc::{Sender, channel},
};

type Subscribers = Arc<Mutex<Vec<(String, Sender<Vec<u8>>)>>>;

/// More packets than the windows of all clients of a test let be under way.
const UNDER_WAY_MOST: usize = 4_096;

fn arguments(server: &InTestServer, more: &str) -> BenchPublishArguments {
    let line = format!("rollcall bench publish --target {} --duration-s 1 --warm-up-ms 100 {more}", server.address);
    match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
        Command::Bench(BenchCommand::Publish(arguments)) => arguments,
        _ => unreachable!(),
    }
}

/// A broker that knows exact topics and one shared subscription, delivers at the QoS of the publish, and loses one
/// message in `loses`.
async fn broker(loses: Option<usize>) -> InTestServer {
    let subscribers = Subscribers::default();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    serve(move |stream| {
        let (subscribers, count) = (Arc::clone(&subscribers), Arc::clone(&count));
        async move {
            let (mut read, mut write) = stream.into_split();
            let (to_client, mut packets) = channel::<Vec<u8>>(UNDER_WAY_MOST);
            let writing = async move {
                while let Some(packet) = packets.recv().await {
                    if write.write_all(&packet).await.is_err() {
                        return;
                    }
                }
            };
            let reading = async {
                let mut frames = Frames::default();
                while frames.fill(&mut read).await.is_ok() {
                    while let Some(packet) = frames.next().unwrap() {
                        let mut answer = Vec::new();
                        match packet.kind {
                            1 => answer = vec![0x20, 2, 0, 0],
                            8 => {
                                let (_, filter, qos) = subscription(&packet);
                                answer = vec![0x90, 3, 0, 1, qos];
                                subscribers.lock().unwrap().push((filter, to_client.clone()));
                            }
                            PUBLISH => {
                                let (qos, id, payload) = packet.message().unwrap();
                                let topic = topic(&packet);
                                let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                if loses.is_none_or(|loses| number % loses != 0) {
                                    let mut delivery = Vec::new();
                                    frames::publish(&mut delivery, &topic, qos, id, payload);
                                    for (filter, to) in subscribers.lock().unwrap().iter() {
                                        if *filter == topic || filter.starts_with("$share/") {
                                            to.try_send(delivery.clone()).unwrap();
                                        }
                                    }
                                }
                                match qos {
                                    0 => {}
                                    1 => frames::acknowledge(&mut answer, PUBACK, id),
                                    _ => frames::acknowledge(&mut answer, PUBREC, id),
                                }
                            }
                            PUBREL => frames::acknowledge(&mut answer, PUBCOMP, packet.id()),
                            PUBREC => frames::acknowledge(&mut answer, PUBREL, packet.id()),
                            _ => {}
                        }
                        if !answer.is_empty() {
                            to_client.try_send(answer).unwrap();
                        }
                    }
                }
            };
            tokio::select! {
                () = writing => {}
                () = reading => {}
            }
        }
    })
    .await
}

fn subscription(packet: &frames::Packet<'_>) -> (u16, String, u8) {
    let body = packet.body_for_tests();
    let (filter, qos) = body[4..].split_at(body.len() - 5);
    (packet.id(), String::from_utf8(filter.to_vec()).unwrap(), qos[0])
}

fn topic(packet: &frames::Packet<'_>) -> String {
    let body = packet.body_for_tests();
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    String::from_utf8(body[2..2 + length].to_vec()).unwrap()
}

#[tokio::test]
async fn every_shape_delivers_everything_at_every_qos() {
    for (shape, copies) in [("pairs", 1), ("fan-out", 3), ("fan-in", 1)] {
        for qos in 0..=2 {
            let server = broker(None).await;
            let more = format!("--shape {shape} --clients 3 --qos {qos} --payload-bytes 20");
            let report = measure(&arguments(&server, &more)).await.unwrap();
            assert!(report.deliveries >= 10 * copies, "{shape} {qos}: {report:?}");
            assert_eq!((report.missing, report.unacknowledged), (0, 0), "{shape} {qos}");
            assert_eq!(report.latency.count, report.deliveries);
        }
    }
}

#[tokio::test]
async fn a_fixed_rate_is_kept() {
    let server = broker(None).await;
    let report = measure(&arguments(&server, "--clients 4 --rate 400 --qos 1")).await.unwrap();
    assert!((360..=440).contains(&report.deliveries), "{report:?}");
    assert_eq!(report.missing, 0);
}

#[tokio::test]
async fn what_the_broker_loses_is_missing() {
    let server = broker(Some(50)).await;
    let report = measure(&arguments(&server, "--clients 1 --rate 500")).await.unwrap();
    assert!((5..=15).contains(&report.missing), "{report:?}");
}

#[tokio::test]
async fn a_broker_that_grants_less_ends_the_measurement() {
    let server = serve(|mut stream: TcpStream| async move {
        let mut frames = Frames::default();
        while frames.fill(&mut stream).await.is_ok() {
            while let Some(packet) = frames.next().unwrap() {
                let answer: &[u8] = if packet.kind == 1 { &[0x20, 2, 0, 0] } else { &[0x90, 3, 0, 1, 0x80] };
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let failure = measure(&arguments(&server, "--clients 1 --qos 1")).await.unwrap_err();
    assert!(format!("{failure:?}").contains("SUBACK code 128"), "{failure:?}");
}

//! The tasks of the measurement: a publisher and a subscriber, each with its connection. What does not belong here: how
//! many of them there are, and what becomes of the figures.

use super::{
    flow::Shared,
    frames::{self, Frames, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK},
};
use crate::bench::pace::{PreciseTimer, Schedule};
use crate::{bench::latency::Latencies, failure::Failure};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::timeout_at,
};

/// Messages written at a time.
const BATCH: u64 = 64;

/// Subscribes and waits until the broker has granted it.
///
/// # Errors
/// When it refuses, or the connection ends.
pub(super) async fn subscribe(stream: &mut TcpStream, filter: &str, qos: u8) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(format_args!("cannot subscribe to {filter}"), &error);
    let mut packet = Vec::new();
    frames::subscribe(&mut packet, filter, qos);
    stream.write_all(&packet).await.map_err(failed)?;
    // Exactly a SUBACK of one filter, so that no message behind it is swallowed.
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).await.map_err(failed)?;
    match suback {
        [kind, 3, 0, 1, granted] if kind == SUBACK << 4 && granted == qos => Ok(()),
        [kind, 3, 0, 1, code] if kind == SUBACK << 4 => {
            Err(Failure::new(format!("the broker answered {filter} at QoS {qos} with SUBACK code {code}")))
        }
        other => Err(Failure::new(format!("the answer to SUBSCRIBE is no SUBACK: {other:?}"))),
    }
}

/// Takes messages and acknowledges them until told to stop.
///
/// # Errors
/// When the connection fails.
pub(super) async fn take(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("a subscriber's connection ended", &error);
    let mut frames = Frames::default();
    let mut answers = Vec::new();
    let mut latencies = Latencies::new()?;
    let mut deliveries = 0;
    loop {
        tokio::select! {
            biased;
            filled = frames.fill(&mut stream) => filled.map_err(failed)?,
            _ = stopped.wait_for(|stop| *stop) => break,
        }
        let now = Instant::now();
        let counts = now >= shared.measured_from && now < shared.end;
        while let Some(packet) = frames.next().map_err(failed)? {
            match packet.kind {
                PUBLISH => {
                    let Some((qos, id, payload)) = packet.message() else { continue };
                    match qos {
                        0 => {}
                        1 => frames::acknowledge(&mut answers, PUBACK, id),
                        _ => frames::acknowledge(&mut answers, PUBREC, id),
                    }
                    let Some((due, flow)) = shared.read(payload) else { continue };
                    flow.delivered.fetch_add(1, Relaxed);
                    flow.moved.notify_one();
                    if counts {
                        deliveries += 1;
                        latencies.record(now.saturating_duration_since(due));
                    }
                }
                PUBREL => frames::acknowledge(&mut answers, PUBCOMP, packet.id()),
                _ => {}
            }
        }
        if !answers.is_empty() {
            stream.write_all(&answers).await.map_err(failed)?;
            answers.clear();
        }
    }
    let mut measured = shared.measured();
    measured.deliveries += deliveries;
    measured.latencies.add(&latencies);
    Ok(())
}

/// Publishes until the end, then waits for what is under way until told to stop.
///
/// # Errors
/// When the connection fails.
pub(super) async fn give(
    shared: Arc<Shared>,
    publisher: u32,
    topic: String,
    schedule: Option<Schedule>,
    mut stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let (mut read, write) = stream.split();
    // What the reader wants written: the second half of QoS 2.
    let releases = Mutex::new(Vec::new());
    let reading = hear(&shared, publisher, &mut read, &releases);
    let writing = send(&shared, publisher, &topic, schedule, write, &releases);
    tokio::select! {
        heard = reading => heard,
        sent = writing => sent,
        _ = stopped.wait_for(|stop| *stop) => Ok(()),
    }
}

async fn hear(
    shared: &Shared,
    publisher: u32,
    read: &mut ReadHalf<'_>,
    releases: &Mutex<Vec<u8>>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("a publisher's connection ended", &error);
    let flow = &shared.flows[publisher as usize];
    let mut frames = Frames::default();
    loop {
        frames.fill(read).await.map_err(failed)?;
        while let Some(packet) = frames.next().map_err(failed)? {
            match packet.kind {
                PUBACK | PUBCOMP => {
                    flow.acknowledged.fetch_add(1, Relaxed);
                }
                PUBREC => {
                    let mut releases = releases.lock().unwrap_or_else(PoisonError::into_inner);
                    frames::acknowledge(&mut releases, PUBREL, packet.id());
                }
                _ => {}
            }
        }
        flow.moved.notify_one();
    }
}

async fn send(
    shared: &Shared,
    publisher: u32,
    topic: &str,
    schedule: Option<Schedule>,
    mut write: WriteHalf<'_>,
    releases: &Mutex<Vec<u8>>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("a publisher's connection ended", &error);
    let flow = &shared.flows[publisher as usize];
    let timer = PreciseTimer::new()?;
    let mut payload = vec![0; shared.payload_bytes];
    let mut bytes = Vec::new();
    let mut due_next = schedule.as_ref().map(Schedule::take);
    loop {
        std::mem::swap(&mut bytes, &mut releases.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        let mut room = if now < shared.end { BATCH } else { 0 };
        if due_next.is_none() {
            room = room.min(shared.room(flow));
        }
        for _ in 0..room {
            let due = match (&schedule, due_next) {
                (Some(schedule), Some(due)) if due <= now => {
                    due_next = Some(schedule.take());
                    due
                }
                (Some(_), _) => break,
                (None, _) => now,
            };
            shared.stamp(&mut payload, due, publisher);
            let number = flow.sent.fetch_add(1, Relaxed);
            // 1 to 65 535, over and over.
            let packet_id = (number % 65_535 + 1) as u16;
            frames::publish(&mut bytes, topic, shared.qos, packet_id, &payload);
        }
        if !bytes.is_empty() {
            write.write_all(&bytes).await.map_err(failed)?;
            bytes.clear();
            continue;
        }
        match due_next.filter(|due| *due < shared.end && now < shared.end) {
            Some(due) => {
                tokio::select! {
                    slept = timer.sleep_until(due) => slept?,
                    () = flow.moved.notified() => {}
                }
            }
            None if now < shared.end => drop(timeout_at(shared.end.into(), flow.moved.notified()).await),
            None => flow.moved.notified().await,
        }
    }
}

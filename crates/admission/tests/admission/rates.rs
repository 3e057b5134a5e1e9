//! Messages and connects per second.

use crate::users::admission;
use metrics_exporter_prometheus::PrometheusBuilder;
use rollcall_admission::{Admission, AdmissionConfig, Share};
use rollcall_contracts::{Admission as _, QueryRefusal, Rated};
use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

fn with(messages_per_second: u32, burst_percent: u32) -> Admission {
    admission(AdmissionConfig { messages_per_second, burst_percent, ..AdmissionConfig::default() }).1
}

/// Units admitted in a busy loop of one-unit charges, and the seconds it took.
fn admitted(admission: &Admission, at_least: Duration) -> (f64, f64) {
    let began = Instant::now();
    let mut admitted = 0_u32;
    while began.elapsed() < at_least {
        admitted += u32::from(admission.charge(1).is_ok());
    }
    (f64::from(admitted), began.elapsed().as_secs_f64())
}

#[test]
fn no_limit_admits_everything() {
    let admission = with(0, 10);
    assert!((0..10_000).all(|_| admission.charge(1000).is_ok() && admission.admit(Rated::Connects).is_ok()));
}

#[test]
fn a_second_admits_the_rate_and_at_most_the_burst_above_it() {
    for (rate, percent) in [(1000_u32, 10_u32), (200, 100), (500, 0)] {
        let admission = with(rate, percent);
        let (admitted, seconds) = admitted(&admission, Duration::from_millis(500));
        let burst = f64::from((rate * percent / 100).max(1));
        assert!(admitted <= f64::from(rate) * seconds + burst + 1.0, "{rate}/s + {percent} %: {admitted} in {seconds}");
        assert!(admitted > burst, "{rate}/s + {percent} %: {admitted} in {seconds}");
    }
}

#[test]
fn a_refusal_says_when_to_come_back_in_whole_seconds() {
    let admission = with(1, 0);
    assert_eq!(admission.charge(1), Ok(()));
    assert_eq!(admission.charge(1), Err(QueryRefusal::OverQuota { retry_after_s: 1 }));
    assert_eq!(admission.charge(0), Ok(()), "nothing asked is nothing refused");
}

#[test]
fn a_charge_larger_than_the_burst_is_admitted_once_and_paid_for_afterwards() {
    let admission = with(100, 10);
    assert_eq!(admission.charge(1000), Ok(()));
    match admission.charge(1) {
        Err(QueryRefusal::OverQuota { retry_after_s }) => assert!((9..=10).contains(&retry_after_s), "{retry_after_s}"),
        other => panic!("{other:?}"),
    }
    assert!((0..100).all(|_| admission.charge(1000).is_err()));
}

#[test]
fn a_new_share_starts_with_nothing_saved_up() {
    let admission = with(0, 100);
    admission.set_message_share(Share::PerSecond(NonZeroU32::new(1).unwrap()));
    assert_eq!(admission.charge(1), Err(QueryRefusal::OverQuota { retry_after_s: 1 }));
    admission.set_message_share(Share::NoGrant);
    assert_eq!(admission.charge(1), Err(QueryRefusal::NoGrant));
    admission.set_message_share(Share::Unlimited);
    assert_eq!(admission.charge(1), Ok(()));
}

#[test]
fn a_changed_share_takes_over_what_was_saved_up_as_far_as_it_fits_and_what_is_owed() {
    let share = |rate| Share::PerSecond(NonZeroU32::new(rate).unwrap());
    let saved = |admission: &Admission| (0..).take_while(|_| admission.charge(1).is_ok()).count();
    let admission = with(1_000, 10);
    admission.set_message_share(share(2_000));
    assert!((95..=110).contains(&saved(&admission)), "one is the price of looking, some come meanwhile");
    admission.set_message_share(share(1_000));
    assert!(saved(&admission) < 20, "nothing was saved up");
    let admission = with(1_000, 10);
    admission.set_message_share(share(100));
    assert!((10..=12).contains(&saved(&admission)));
    admission.owe(500);
    admission.set_message_share(share(1_000));
    assert_eq!(admission.charge(1), Err(QueryRefusal::OverQuota { retry_after_s: 1 }));
}

#[test]
fn what_is_owed_is_paid_before_anything_new_is_admitted() {
    let admission = with(100, 10);
    (0..300).for_each(|_| admission.owe(1));
    match admission.charge(1) {
        Err(QueryRefusal::OverQuota { retry_after_s }) => assert!((2..=3).contains(&retry_after_s), "{retry_after_s}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(admission.messages_asked(), 301);
}

#[test]
fn each_refusal_is_counted_by_kind() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let config = AdmissionConfig { connects_per_second: 1, messages_per_second: 1, ..AdmissionConfig::default() };
    let (_, admission) = metrics::with_local_recorder(&recorder, || admission(config));
    admission.set_message_share(Share::NoGrant);
    admission.set_packet_share(Rated::Connects, Share::NoGrant);
    assert!(admission.charge(1).is_err() && admission.charge(2).is_err() && admission.admit(Rated::Connects).is_err());
    let text = recorder.handle().render();
    for line in [
        "rollcall_quota_limited_total{kind=\"messages\"} 2",
        "rollcall_quota_limited_total{kind=\"connects\"} 1",
        "rollcall_quota_limited_total{kind=\"auth_failures\"} 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
}

#[test]
fn each_kind_of_packet_has_a_rate_of_its_own_and_is_counted_by_its_name() {
    let recorder = PrometheusBuilder::new().build_recorder();
    for packet in Rated::ALL {
        let per_second = |kind| u32::from(kind == packet);
        let config = AdmissionConfig {
            connects_per_second: per_second(Rated::Connects),
            will_connects_per_second: per_second(Rated::WillConnects),
            subscribes_per_second: per_second(Rated::Subscribes),
            unsubscribes_per_second: per_second(Rated::Unsubscribes),
            ..AdmissionConfig::default()
        };
        let (_, admission) = metrics::with_local_recorder(&recorder, || admission(config));
        for kind in Rated::ALL {
            assert_eq!(admission.admit(kind), Ok(()));
            let over = Err(QueryRefusal::OverQuota { retry_after_s: 1 });
            assert_eq!(admission.admit(kind), if kind == packet { over } else { Ok(()) }, "{kind:?} of {packet:?}");
        }
        assert_eq!(admission.charge(1), Ok(()));
        admission.set_packet_share(packet, Share::NoGrant);
        assert_eq!(admission.admit(packet), Err(QueryRefusal::NoGrant));
    }
    let text = recorder.handle().render();
    for packet in Rated::ALL {
        let line = format!("rollcall_quota_limited_total{{kind=\"{}\"}} 2", packet.name());
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
}

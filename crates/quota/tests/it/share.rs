//! Shares and bursts, for any limit and any number of nodes.

use proptest::prelude::*;
use rollcall_quota::{burst, node_share, retry_after_s, shares_exceed_limit};

proptest! {
    #[test]
    fn shares_never_add_up_to_more_than_the_limit(limit in 0_u32.., nodes in 1_u32..=255) {
        let shares = vec![node_share(limit, nodes); nodes as usize];
        prop_assert_eq!(shares_exceed_limit(limit, shares.iter().copied()), None);
        let unused = u64::from(limit) - shares.iter().map(|share| u64::from(*share)).sum::<u64>();
        prop_assert!(unused < u64::from(nodes), "no more than the rounding is lost");
        prop_assert_eq!(shares[0] >= 1, limit >= nodes);
    }

    #[test]
    fn a_second_goes_no_further_above_its_rate_than_the_burst(limit in 1_u32..=100_000_000, percent in 0_u32..=1_000) {
        let allowed = (u64::from(limit) * u64::from(percent) / 100).max(1);
        prop_assert_eq!(u64::from(burst(limit, percent)), allowed);
    }

    #[test]
    fn the_wait_named_is_enough_and_less_than_a_second_too_long(wait_ms in 0_u64..10_000_000) {
        let named = u64::from(retry_after_s(wait_ms)) * 1_000;
        prop_assert!(named >= wait_ms && named < wait_ms.max(1) + 1_000);
    }
}

#[test]
fn a_limit_that_is_off_has_no_share_and_no_burst() {
    assert_eq!((node_share(0, 3), burst(0, 10)), (0, 0));
    assert_eq!(node_share(7, 0), 7, "before any node is known");
    assert_eq!(burst(1, 0), 1, "a limiter without any burst admits nothing");
}

#[test]
fn shares_beyond_the_limit_are_found() {
    assert_eq!(shares_exceed_limit(10, [4, 4, 3]), Some(1));
    assert_eq!(shares_exceed_limit(0, [4, 4, 3]), None, "no limit is exceeded where there is none");
}

//! Seeds, replays and broken rules.

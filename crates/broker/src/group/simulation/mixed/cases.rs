//! Histories that failed once.

use super::Action::*;
use super::client::Kind::{Classic, Consumer};
use super::{Action, Index, play};

const fn starts(kind: super::Kind) -> Action {
    Start { kind, is_static: false }
}

#[test]
fn a_member_comes_back_under_its_id_after_its_session_was_over() {
    play(
        &[
            starts(Classic),
            starts(Consumer),
            Run(Index(9223372036854775808)),
            Advance(42281),
            Advance(2719),
            RunAll(3),
            Advance(1000),
            Run(Index(9223372036854775808)),
            Advance(2186),
            Advance(5840),
            Advance(1974),
            MorePartitions(Index(0)),
            Run(Index(0)),
        ],
        true,
    );
}

#[test]
fn a_topic_is_made_anew_while_an_assignment_is_on_its_way() {
    play(
        &[
            starts(Consumer),
            starts(Consumer),
            Leave(Index(0)),
            starts(Consumer),
            starts(Consumer),
            starts(Classic),
            Leave(Index(0)),
            Run(Index(12297829382473034411)),
            Leave(Index(0)),
            starts(Consumer),
            starts(Classic),
            Leave(Index(0)),
            Restart { client: Index(0), tells: false },
            Rewrite,
            RunAll(2),
            MoreTopics,
            Crash(Index(0)),
            Run(Index(9223372036854775808)),
            starts(Consumer),
            Crash(Index(0)),
            Restart { client: Index(0), tells: false },
            RunAll(3),
            Run(Index(0)),
            MorePartitions(Index(1)),
            MoreTopics,
        ],
        false,
    );
}

#[test]
fn a_member_that_came_back_has_not_asked_for_its_assignment_yet() {
    play(
        &[
            starts(Consumer),
            starts(Consumer),
            starts(Consumer),
            starts(Classic),
            Leave(Index(0)),
            starts(Consumer),
            Leave(Index(0)),
            starts(Consumer),
            starts(Consumer),
            RunAll(1),
            Advance(45000),
            Restart { client: Index(0), tells: false },
            Sync,
            RunAll(3),
            MorePartitions(Index(0)),
            RunAll(1),
            starts(Consumer),
            Advance(10000),
            starts(Consumer),
            Sync,
            starts(Consumer),
            Sync,
            RunAll(1),
        ],
        true,
    );
}

#[test]
fn an_assignment_arrives_after_the_session_was_over() {
    play(
        &[
            MoreTopics,
            starts(Classic),
            RunAll(3),
            starts(Consumer),
            starts(Consumer),
            MorePartitions(Index(0)),
            Run(Index(6148914691236517206)),
            Run(Index(0)),
            Rewrite,
            Run(Index(0)),
            Advance(10000),
            RunAll(2),
        ],
        true,
    );
}

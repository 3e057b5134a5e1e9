//! Between the messages of `proto` and this crate's own values.

use crate::read_point::{Ask, PointAnswer};
use rollcall_proto::{ReadPoint, ReadPointAnswer, ReadPointAsk, ReadPointReply, ReadPointRequest, read_point_answer};
use rollcall_types::{GroupId, NodeId};

pub(crate) fn read_point_request(asks: &[Ask]) -> ReadPointRequest {
    let asks = asks
        .iter()
        .map(|ask| ReadPointAsk {
            group: ask.group.0,
            saved_term: ask.saved_term.unwrap_or(0),
            voter: ask.saved_term.is_some(),
        })
        .collect();
    ReadPointRequest { asks }
}

pub(crate) fn asks(request: &ReadPointRequest) -> Vec<Ask> {
    request
        .asks
        .iter()
        .map(|ask| Ask { group: GroupId(ask.group), saved_term: ask.voter.then_some(ask.saved_term) })
        .collect()
}

pub(crate) fn read_point_reply(asks: &[Ask], answers: &[PointAnswer]) -> ReadPointReply {
    let answers = asks
        .iter()
        .zip(answers)
        .map(|(ask, answer)| ReadPointAnswer {
            group: ask.group.0,
            answer: Some(match *answer {
                PointAnswer::Point { term, index } => read_point_answer::Answer::Point(ReadPoint { term, index }),
                PointAnswer::Elsewhere(leader) => read_point_answer::Answer::LeaderHint(leader.0),
                PointAnswer::Unavailable => read_point_answer::Answer::Unavailable(String::new()),
            }),
        })
        .collect();
    ReadPointReply { answers }
}

/// The answers in the order of the asks; what the peer left out is unavailable.
pub(crate) fn point_answers(asks: &[Ask], reply: &ReadPointReply) -> Vec<PointAnswer> {
    asks.iter()
        .map(|ask| {
            let found = reply.answers.iter().find(|a| a.group == ask.group.0).and_then(|a| a.answer.as_ref());
            match found {
                Some(read_point_answer::Answer::Point(p)) => PointAnswer::Point { term: p.term, index: p.index },
                Some(read_point_answer::Answer::LeaderHint(leader)) => PointAnswer::Elsewhere(NodeId(*leader)),
                Some(read_point_answer::Answer::Unavailable(_)) | None => PointAnswer::Unavailable,
            }
        })
        .collect()
}

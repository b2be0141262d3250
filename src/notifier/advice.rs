//! What an admin can do about what a notice tells, and where its reader looks at the lease.

use super::item::{Context, Visit};
use crate::model::{Lease, NoticeKind, Role, State, UserId};

/// What an admin does next, by the word of the notice.
pub(super) fn admin_next(word: &str) -> String {
    let text = match word {
        "stage" => "Raise the stage of the AWS account if zerocloud should do this, or renew the lease.",
        "pause" => "zerocloud resume lifts the pause; what is overdue then gets its notice time first.",
        "exemption" => "It ends when the exemption does; an admin can lift it on the lease.",
        "pace" => {
            "It goes on by itself as the hour passes. If so many ends are right, raise max_reaps_per_hour in the policy; if not, zerocloud pause stops them all."
        }
        "region" => {
            "zerocloud doctor says what it sees in the region; it goes on once two scans agree or an admin resumes it."
        }
        "protection" => {
            "Lift the protection in EC2 or Auto Scaling, renew the lease, or exempt it with a reason and an end."
        }
        "no_notice" | "unreachable" => {
            "It does not end before somebody was told. Check the owner's address, and sending with zerocloud doctor."
        }
        "managed_elsewhere" => "End it where it is managed: zerocloud does not end single members.",
        "unreadable" => {
            "The status page and zerocloud doctor say what is wrong with it. Once it is mended, the end gets its notice time first."
        }
        "over_quota" => "It gets its usual lease back when the owner holds fewer.",
        "owner_left" => "Give it to somebody, or let it end.",
        _ => "zerocloud leases shows the lease with its story.",
    };
    text.to_owned()
}

/// The lease's page, for a notice that nothing can be answered by a token: its reader signs in there and acts. `None` without
/// pages, or where the reader sees nothing.
pub(super) fn visit(lease: &Lease, reader: &UserId, kind: &NoticeKind, context: &Context<'_>) -> Option<Visit> {
    let base = context.public_url?.trim_end_matches('/');
    let admin = context.directory.user(&lease.account, reader).is_some_and(|user| user.role == Role::Admin);
    let label = match kind {
        NoticeKind::Ended => return None,
        NoticeKind::Offered(_) => "Take it over, or leave it",
        _ if *reader != lease.owner && !admin => return None,
        NoticeKind::Stopped if lease.state == State::Stopped && lease.is_group() => "Wake it",
        NoticeKind::Stopped if lease.state == State::Stopped => "Start it again",
        _ => "Look at it",
    };
    Some(Visit { label, link: format!("{base}/leases/{}", lease.key()) })
}

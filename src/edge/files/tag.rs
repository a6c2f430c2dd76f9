//! The tag of a file, and for how long it cannot be relied on. Pure; time comes in as an argument.

use proto::accept_encoding::Coding;
use proto::etag::ETag;
use uring::fs::Stat;

/// A change within one step of the file system's clock gives a file no new time. Linux takes its time at ticks of 1 to 10 ms (since
/// 6.13 most file systems look closer once somebody has asked); a time without a fraction may come from one that counts in
/// seconds, or in twos.
const STEP_NS: u64 = 20_000_000;
const COARSE_STEP_NS: u64 = 2_000_000_000;

/// Whether every later change will show in the file's time.
pub fn is_settled(stat: &Stat, wall_ns: u64) -> bool {
    let step_ns = if stat.modified_ns == 0 {
        COARSE_STEP_NS
    } else {
        STEP_NS
    };
    modified_ns(stat).abs_diff(wall_ns) >= step_ns
}

fn modified_ns(stat: &Stat) -> u64 {
    (stat.modified_s as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(stat.modified_ns))
}

/// Time in nanoseconds and size, no inode: machines that hold copies of one file agree on its tag.
pub fn etag_of(stat: &Stat, coding: Coding) -> ETag {
    let etag = ETag::of_file(modified_ns(stat), stat.size, None);
    match coding {
        Coding::Identity => etag,
        coded => etag.with_suffix(coded.as_str()),
    }
}

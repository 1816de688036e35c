//! The offset b that fits the most steps of a staircase, for a given multiplier and divisor.

/// An offset and how many points it leaves apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) b: i64,
    pub(crate) cost: u64,
}

/// The offset b that violates least of `b >= low` and `b <= up`, a violation by e counting `ceil(e / unit)`
/// points; `None` when it would cost `limit` or more. Reorders and shortens the lists.
pub(crate) fn best_offset(lows: &mut Vec<i64>, ups: &mut Vec<i64>, unit: i64, limit: u64) -> Option<Offset> {
    let low = lows.iter().copied().max();
    let up = ups.iter().copied().min();
    let (low, up) = match (low, up) {
        (None, None) => return Some(Offset { b: 0, cost: 0 }),
        (low, up) => (low.or(up)?, up.or(low)?),
    };
    if low <= up {
        return Some(Offset {
            b: low + (up - low) / 2,
            cost: 0,
        });
    }
    lows.retain(|l| *l > up);
    ups.retain(|u| *u < low);
    if limit <= 1 || disjoint(lows, ups, limit) {
        return None;
    }
    lows.sort_unstable_by(|a, b| b.cmp(a));
    ups.sort_unstable();
    let mut tried: Vec<i64> = lows.iter().chain(ups.iter()).copied().collect();
    tried.sort_unstable();
    tried.dedup();
    let best = tried
        .into_iter()
        .map(|b| Offset {
            b,
            cost: cost(lows, ups, unit, b),
        })
        .min_by_key(|o| (o.cost, o.b))?;
    (best.cost < limit).then_some(best)
}

/// True when `limit` disjoint pairs of a low above an up exist, each of which costs at least one point.
fn disjoint(lows: &mut [i64], ups: &mut [i64], limit: u64) -> bool {
    let at = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX);
    if at >= lows.len() || at >= ups.len() {
        return false;
    }
    let (_, low, _) = lows.select_nth_unstable_by(at, |a, b| b.cmp(a));
    let (_, up, _) = ups.select_nth_unstable(at);
    low > up
}

/// Points that offset `b` leaves apart; `lows` descending, `ups` ascending.
fn cost(lows: &[i64], ups: &[i64], unit: i64, b: i64) -> u64 {
    let points = |excess: i64| u64::try_from((excess - 1) / unit + 1).unwrap_or(u64::MAX);
    let low = lows.iter().take_while(|l| **l > b).map(|l| points(l - b));
    let up = ups.iter().take_while(|u| **u < b).map(|u| points(b - u));
    low.chain(up).fold(0, u64::saturating_add)
}

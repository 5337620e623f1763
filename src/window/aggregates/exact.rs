//! Sums without rounding: what was added can be taken away again, and nothing is left of it.
//!
//! A double is 53 bits times a power of two, so doubles whose exponents are close add up in one
//! integer of 128 bits, `main`. It takes [`SPREAD`] exponents, from `base` on. Values with other
//! exponents go to [`Rest`]: an integer of 128 bits for every 32 exponents. Integers that are mixed with
//! doubles, and infinities, are in `Rest` too. The representation is linear: a value may be added to one
//! part and taken away from another, the total is the same.
//!
//! The total is rounded once, when it is computed.

/// How many exponents `main` takes beyond its base. With the 53 bits of a double that leaves 26
/// bits for the count of values; more than that moves what is there to `Rest`.
const SPREAD: i32 = 48;
/// The least exponent of a bit of a double.
const LEAST: i32 = -1074;
/// `main` holds integers.
const WHOLE: i16 = i16::MAX;
/// How many exponents a limb has.
const LIMB: i32 = 32;
/// The limbs that the total of doubles can have: 2,098 bits, and the bits of their count.
const LIMBS: usize = 72;

/// 128 bits at any multiple of eight bytes: a multiple of sixteen would leave unused room.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed(8))]
struct Wide(i128);

/// An exact sum of integers and doubles.
#[derive(Debug, Clone)]
pub(super) struct ExactSum {
    /// In units of two to the power of `base`, or in units of one where that is [`WHOLE`].
    main: Wide,
    rest: Option<Box<Rest>>,
    base: i16,
}

impl Default for ExactSum {
    fn default() -> Self {
        ExactSum {
            main: Wide(0),
            rest: None,
            base: WHOLE,
        }
    }
}

/// What `main` does not take.
#[derive(Debug, Clone, Default)]
struct Rest {
    whole: i128,
    /// By the number of the limb, in order; in units of its least exponent.
    limbs: Vec<(u8, i128)>,
    /// How many infinities of each sign there are: minus, plus.
    infinite: [i64; 2],
}

impl Rest {
    fn add(&mut self, limb: u8, value: i128) {
        match self
            .limbs
            .binary_search_by_key(&limb, |(number, _)| *number)
        {
            Ok(at) => {
                self.limbs[at].1 += value;
                if self.limbs[at].1 == 0 {
                    self.limbs.remove(at);
                }
            }
            Err(_) if value == 0 => {}
            Err(at) => self.limbs.insert(at, (limb, value)),
        }
    }

    /// Adds an integer of any size in units of two to the power of `base`.
    fn spread(&mut self, mut value: i128, base: i32) {
        let from = base - LEAST;
        let (mut limb, shift) = (from / LIMB, from % LIMB);
        // The lowest 32 bits first, so that the shift loses nothing.
        let low = value & 0xffff_ffff;
        self.add(limb as u8, low << shift);
        value >>= LIMB;
        while value != 0 && value != -1 {
            limb += 1;
            let low = value & 0xffff_ffff;
            self.add(limb as u8, low << shift);
            value >>= LIMB;
        }
        if value == -1 {
            self.add(limb as u8 + 1, -1 << shift);
        }
    }

    fn is_empty(&self) -> bool {
        self.whole == 0 && self.limbs.is_empty() && self.infinite == [0, 0]
    }
}

impl ExactSum {
    /// Adds an integer, or takes it away.
    pub fn whole(&mut self, value: i64, minus: bool) {
        let value = if minus {
            -i128::from(value)
        } else {
            i128::from(value)
        };
        if self.main.0 == 0 && self.rest.is_none() {
            self.base = WHOLE;
        }
        match (self.base == WHOLE, self.main.0.checked_add(value)) {
            (true, Some(sum)) => self.main.0 = sum,
            _ => {
                let rest = self.rest.get_or_insert_default();
                rest.whole += value;
                self.tidy();
            }
        }
    }

    /// Adds a double, or takes it away.
    #[inline]
    pub fn real(&mut self, value: f64, minus: bool) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) as i32 & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        let negative = (bits >> 63 != 0) != minus;
        let (digits, exponent) = match exponent {
            0 => (fraction, LEAST),
            0x7ff => return self.infinite(value, minus),
            _ => (fraction | 1 << 52, exponent + LEAST - 1),
        };
        if digits == 0 {
            return;
        }
        let digits = if negative {
            -(digits as i64)
        } else {
            digits as i64
        };
        if self.main.0 == 0 {
            self.rebase(exponent);
        }
        let shift = exponent - i32::from(self.base);
        // One multiplication is faster than a shift of 128 bits.
        if (0..=SPREAD).contains(&shift)
            && let value = i128::from(digits) * i128::from(1_i64 << shift)
            && let Some(sum) = self.main.0.checked_add(value)
        {
            self.main.0 = sum;
            return;
        }
        self.beyond(digits, exponent);
    }

    /// A double that `main` does not take.
    #[cold]
    fn beyond(&mut self, digits: i64, exponent: i32) {
        let from = exponent - LEAST;
        let rest = self.rest.get_or_insert_default();
        rest.add((from / LIMB) as u8, i128::from(digits) << (from % LIMB));
        self.tidy();
    }

    #[cold]
    fn infinite(&mut self, value: f64, minus: bool) {
        let rest = self.rest.get_or_insert_default();
        let count = &mut rest.infinite[usize::from(value > 0.0)];
        *count += if minus { -1 } else { 1 };
        self.tidy();
    }

    /// Nothing is in `main`: it may take other exponents, those around this one.
    #[inline]
    fn rebase(&mut self, exponent: i32) {
        let base = (exponent - SPREAD / 3).max(LEAST);
        // Accumulators that are merged have the same base more often than not.
        self.base = (base & !15).max(LEAST) as i16;
        if self.rest.is_some() {
            self.gather();
        }
    }

    /// Moves what is in `Rest` to `main`, which is empty, if it fits.
    #[cold]
    fn gather(&mut self) {
        let Some(rest) = &mut self.rest else {
            return;
        };
        let (Some((least, _)), Some((most, _))) = (rest.limbs.first(), rest.limbs.last()) else {
            return;
        };
        if most - least > 1
            || rest
                .limbs
                .iter()
                .any(|(_, value)| value.unsigned_abs() >> 90 != 0)
        {
            return;
        }
        let least = *least;
        let limbs = rest.limbs.drain(..);
        let values = limbs.map(|(limb, value)| if limb == least { value } else { value << LIMB });
        self.main.0 = values.sum();
        self.base = (i32::from(least) * LIMB + LEAST) as i16;
        self.tidy();
    }

    fn tidy(&mut self) {
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, more: &ExactSum) {
        let (value, base) = (more.main.0, more.base);
        if self.main.0 == 0 && value != 0 {
            (self.main, self.base) = (more.main, base);
        } else if value != 0 && !self.merge_main(value, base) {
            let rest = self.rest.get_or_insert_default();
            match base {
                WHOLE => rest.whole += value,
                base => rest.spread(value, base.into()),
            }
        }
        if let Some(more) = &more.rest {
            let rest = self.rest.get_or_insert_default();
            rest.whole += more.whole;
            for (limb, value) in &more.limbs {
                rest.add(*limb, *value);
            }
            for (count, more) in rest.infinite.iter_mut().zip(more.infinite) {
                *count += more;
            }
        }
        self.tidy();
    }

    /// Adds the `main` of another one to this one, if they go together.
    fn merge_main(&mut self, value: i128, base: i16) -> bool {
        if (self.base == WHOLE) != (base == WHOLE) {
            return false;
        }
        let least = self.base.min(base);
        let raised = |value: i128, base: i16| {
            let by = u32::from(base.abs_diff(least));
            // Room for the values to come is left as well.
            (by + value.unsigned_abs().checked_ilog2().unwrap_or(0) < 110).then(|| value << by)
        };
        let (Some(ours), Some(theirs)) = (raised(self.main.0, self.base), raised(value, base))
        else {
            return false;
        };
        (self.main.0, self.base) = (ours + theirs, least);
        true
    }

    /// The sum of its integers, where it has no doubles.
    pub fn integer(&self) -> i128 {
        let main = match self.base {
            WHOLE => self.main.0,
            _ => 0,
        };
        main + self.rest.as_ref().map_or(0, |rest| rest.whole)
    }

    /// The total, rounded to the nearest double; `None` where infinities of both signs are in it.
    #[inline]
    pub fn total(&self) -> Option<f64> {
        match (&self.rest, self.base) {
            (Some(rest), _) => self.total_with(rest),
            (None, WHOLE) => Some(self.main.0 as f64),
            (None, base) => Some(scaled(self.main.0, base.into())),
        }
    }

    #[cold]
    fn total_with(&self, rest: &Rest) -> Option<f64> {
        match rest.infinite {
            [0, 0] => {}
            [_, 0] => return Some(f64::NEG_INFINITY),
            [0, _] => return Some(f64::INFINITY),
            [_, _] => return None,
        }
        let mut all = Rest {
            limbs: rest.limbs.clone(),
            ..Rest::default()
        };
        all.spread(rest.whole, 0);
        match self.base {
            WHOLE => all.spread(self.main.0, 0),
            base => all.spread(self.main.0, base.into()),
        }
        let mut limbs = [0_i128; LIMBS];
        for (limb, value) in all.limbs {
            limbs[usize::from(limb)] = value;
        }
        let negative = carried(&mut limbs);
        if negative {
            limbs.iter_mut().for_each(|limb| *limb = -*limb);
            carried(&mut limbs);
        }
        let total = leading(&limbs);
        Some(if negative { -total } else { total })
    }
}

/// Leaves 32 bits in each limb but the last one; whether the whole is negative.
fn carried(limbs: &mut [i128; LIMBS]) -> bool {
    let mut carry = 0;
    for limb in limbs.iter_mut() {
        let value = *limb + carry;
        (*limb, carry) = (value & 0xffff_ffff, value >> LIMB);
    }
    // The last limb has the sign.
    limbs[LIMBS - 1] |= carry << LIMB;
    carry < 0
}

/// The value of limbs that were carried and are not negative: the leading ones, and one more bit if
/// there is anything behind them.
fn leading(limbs: &[i128; LIMBS]) -> f64 {
    let Some(first) = limbs.iter().rposition(|limb| *limb != 0) else {
        return 0.0;
    };
    let least = first.saturating_sub(2);
    let leading = limbs[least..=first].iter().rev();
    let value = leading.fold(0, |value, limb| value << LIMB | *limb);
    let more = limbs[..least].iter().any(|limb| *limb != 0);
    scaled(value | i128::from(more), least as i32 * LIMB + LEAST)
}

/// An integer times a power of two, rounded once: what is below the normal doubles is a multiple
/// of the least of them already.
#[inline]
fn scaled(value: i128, exponent: i32) -> f64 {
    let value = match i64::try_from(value) {
        Ok(small) => small as f64,
        Err(_) => value as f64,
    };
    let power = |exponent: i32| match exponent {
        1024.. => f64::INFINITY,
        -1022.. => f64::from_bits(((exponent + 1023) as u64) << 52),
        LEAST.. => f64::from_bits(1 << (exponent - LEAST)),
        _ => 0.0,
    };
    if value == 0.0 {
        0.0
    } else {
        value * power(exponent)
    }
}

#[cfg(test)]
mod tests;

//! Ids: in the shapes of AWS, never the same twice, and the same in every run.

/// Counts, and makes ids of the count.
#[derive(Debug, Default)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// Such as `i-0c2f…`: a prefix and 17 hexadecimal digits.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        let number = self.next();
        format!("{prefix}-0{:016x}", scatter(number))
    }

    /// In the shape of a UUID, but not random.
    pub(crate) fn uuid(&mut self) -> String {
        let number = self.next();
        let (high, low) = (scatter(number), scatter(!number));
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0x0fff);
        format!("{a:08x}-{b:04x}-4{c:03x}-a{:03x}-{:012x}", low >> 52, low & 0xffff_ffff_ffff)
    }

    /// Upper case letters and digits, for keys and tokens.
    pub(crate) fn key(&mut self, prefix: &str) -> String {
        let number = self.next();
        format!("{prefix}{:016X}", scatter(number))
    }
}

/// Mixes the bits so that ids in sequence do not look it (the finalizer of splitmix64): different numbers stay different.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

//! The fast Fourier transform, as much as correlation needs.

/// A complex number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Complex {
    /// The real part.
    pub(super) re: f64,
    /// The imaginary part.
    pub(super) im: f64,
}

impl Complex {
    pub(super) fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    pub(super) fn scaled(self, by: f64) -> Self {
        Self { re: self.re * by, im: self.im * by }
    }

    pub(super) fn over_i(self) -> Self {
        Self { re: self.im, im: -self.re }
    }
}

impl std::ops::Add for Complex {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { re: self.re + o.re, im: self.im + o.im }
    }
}

impl std::ops::Sub for Complex {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self { re: self.re - o.re, im: self.im - o.im }
    }
}

impl std::ops::Mul for Complex {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self { re: self.re * o.re - self.im * o.im, im: self.re * o.im + self.im * o.re }
    }
}

/// The FFT by decimation in time; the length is a power of two, the inverse is not divided by it.
pub(super) fn transform(values: &mut [Complex], inverse: bool) {
    let size = values.len();
    if size < 2 {
        return;
    }
    let bits = size.trailing_zeros();
    for at in 0..size {
        let mirrored = at.reverse_bits() >> (usize::BITS - bits);
        if at < mirrored {
            values.swap(at, mirrored);
        }
    }
    let sign = if inverse { 1.0 } else { -1.0 };
    let turns: Vec<Complex> = (0..size / 2)
        .map(|k| sign * std::f64::consts::TAU * k as f64 / size as f64)
        .map(|angle| Complex { re: angle.cos(), im: angle.sin() })
        .collect();
    let mut half = 1;
    while half < size {
        let stride = size / (half * 2);
        for block in values.chunks_mut(half * 2) {
            let (low, high) = block.split_at_mut(half);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let turned = *b * turns[k * stride];
                (*a, *b) = (*a + turned, *a - turned);
            }
        }
        half *= 2;
    }
}

//! Several numbers at once, in the registers the processor has.
//!
//! A value of [`Avx512`] or [`Avx2`] exists only where the processor was found to have those
//! instructions, so holding one is the proof that they may run. This is the only file of the crate
//! with unsafe code: each operation is one instruction behind that proof, loads and stores go
//! through references to arrays, and the two entries into code built for a processor are here too.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

/// Registers of `N` numbers on one kind of processor.
pub(super) trait Lanes<const N: usize>: Copy {
    /// One register, or as many as hold `N` numbers.
    type V: Copy;
    /// How many sums fit the registers beside what they are made of.
    const SUMS: usize;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, from: &[f32; N]) -> Self::V;
    fn store(self, v: Self::V, to: &mut [f32; N]);
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
}

/// What is done with a processor once its kind is known.
pub(super) trait Job {
    fn run<I: Lanes<16> + Lanes<8>>(self, isa: I);
}

/// The processor's kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Isa {
    Avx512(Avx512),
    Avx2(Avx2),
}

impl Isa {
    /// Every kind this processor is, the fastest first; none where tract does better.
    pub fn all() -> impl Iterator<Item = Self> {
        [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)].into_iter().flatten()
    }

    /// Runs a job in code built for this kind.
    pub fn run(self, job: impl Job) {
        match self {
            // SAFETY: the value was only made where the processor has the instructions.
            Self::Avx512(isa) => unsafe { run_avx512(isa, job) },
            // SAFETY: as above.
            Self::Avx2(isa) => unsafe { run_avx2(isa, job) },
        }
    }
}

/// Proof that the processor has AVX-512 (F, VL) and FMA.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx512 {
    fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

impl Avx2 {
    fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn run_avx512(isa: Avx512, job: impl Job) {
    job.run(isa);
}

#[target_feature(enable = "avx2,fma")]
fn run_avx2(isa: Avx2, job: impl Job) {
    job.run(isa);
}

impl Lanes<16> for Avx512 {
    type V = __m512;
    const SUMS: usize = 28;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY (all of these): `self` is the proof that the processor has the instruction.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        // SAFETY: reads the 16 numbers of the array, any alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; 16]) {
        // SAFETY: writes the 16 numbers of the array, any alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_max_ps(a, b) }
    }
}

/// Eight numbers, the same on both kinds.
macro_rules! eight {
    ($isa:ty) => {
        impl Lanes<8> for $isa {
            type V = __m256;
            const SUMS: usize = 12;

            #[inline(always)]
            fn splat(self, x: f32) -> __m256 {
                // SAFETY (all of these): `self` is the proof that the processor has the instruction.
                unsafe { _mm256_set1_ps(x) }
            }

            #[inline(always)]
            fn load(self, from: &[f32; 8]) -> __m256 {
                // SAFETY: reads the 8 numbers of the array, any alignment.
                unsafe { _mm256_loadu_ps(from.as_ptr()) }
            }

            #[inline(always)]
            fn store(self, v: __m256, to: &mut [f32; 8]) {
                // SAFETY: writes the 8 numbers of the array, any alignment.
                unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
            }

            #[inline(always)]
            fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                // SAFETY: see `splat`.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }

            #[inline(always)]
            fn add(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: see `splat`.
                unsafe { _mm256_add_ps(a, b) }
            }

            #[inline(always)]
            fn sub(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: see `splat`.
                unsafe { _mm256_sub_ps(a, b) }
            }

            #[inline(always)]
            fn max(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: see `splat`.
                unsafe { _mm256_max_ps(a, b) }
            }
        }
    };
}
eight!(Avx512);
eight!(Avx2);

/// Sixteen numbers in two registers.
impl Lanes<16> for Avx2 {
    type V = [__m256; 2];
    const SUMS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [Lanes::<8>::splat(self, x); 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::V {
        let (halves, _) = from.as_chunks::<8>();
        [self.load(&halves[0]), self.load(&halves[1])]
    }

    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32; 16]) {
        let (halves, _) = to.as_chunks_mut::<8>();
        self.store(v[0], &mut halves[0]);
        self.store(v[1], &mut halves[1]);
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        [Lanes::<8>::mul_add(self, a[0], b[0], c[0]), Lanes::<8>::mul_add(self, a[1], b[1], c[1])]
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        [Lanes::<8>::add(self, a[0], b[0]), Lanes::<8>::add(self, a[1], b[1])]
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        [Lanes::<8>::sub(self, a[0], b[0]), Lanes::<8>::sub(self, a[1], b[1])]
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        [Lanes::<8>::max(self, a[0], b[0]), Lanes::<8>::max(self, a[1], b[1])]
    }
}

//! What can be wrong with a requantization.

/// What can be wrong with quantization parameters.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// A scale that is not a finite positive number.
    #[error("scale {scale} of {what} is not finite and positive; quantize the model again")]
    Scale {
        /// Whose scale.
        what: &'static str,
        /// The scale.
        scale: f32,
    },
    /// A zero point outside its type.
    #[error("zero point {zero_point} of {what} is outside {min}..={max}")]
    ZeroPoint {
        /// Whose zero point.
        what: &'static str,
        /// The zero point.
        zero_point: i32,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// Clamp bounds that are empty or not in the output type.
    #[error("clamp bounds {lo}..={hi} need lo < hi, both in {min}..={max}")]
    Clamp {
        /// Lower bound.
        lo: i32,
        /// Upper bound.
        hi: i32,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// A per-channel list of another length than the channels.
    #[error("{what}: {actual} entries for {expected} output channels")]
    Channels {
        /// Which list.
        what: &'static str,
        /// Output channels.
        expected: usize,
        /// Entries given.
        actual: usize,
    },
    /// A bias outside int32.
    #[error("channel {channel}: bias {bias} does not fit int32")]
    Bias {
        /// Output channel.
        channel: usize,
        /// The bias.
        bias: i64,
    },
    /// The integer equation could leave the proved range.
    #[error(
        "channel {channel}: |m acc| + |b| + d may reach 2^62 (m = {m}, |acc| <= {acc}); \
         lower the weight range or raise the output scale"
    )]
    Magnitude {
        /// Output channel.
        channel: usize,
        /// Multiplier.
        m: i64,
        /// Largest reachable magnitude of the accumulator.
        acc: i64,
    },
    /// No divisor gives a usable multiplier.
    #[error(
        "channel {channel}: scale {slope:e} over accumulators {lo}..={hi} has no multiplier with a 24-bit divisor; \
         quantize the model again with a smaller output scale"
    )]
    NoMultiplier {
        /// Output channel.
        channel: usize,
        /// Slope of the staircase.
        slope: f64,
        /// Smallest reachable accumulator.
        lo: i64,
        /// Largest reachable accumulator.
        hi: i64,
    },
    /// More accumulators leave the runtime's staircase than are listed.
    #[error(
        "channel {channel}: the integers leave the runtime's staircase at more than {limit} accumulators; \
         quantize the model again with a larger weight scale"
    )]
    Differences {
        /// Output channel.
        channel: usize,
        /// The limit.
        limit: usize,
    },
    /// No integers stay within one output step of the runtime's formula.
    #[error(
        "channel {channel}: no integers stay within one step of the runtime's formula; \
         quantize the model again with input and output scales nearer to each other"
    )]
    Apart {
        /// Output channel.
        channel: usize,
    },
    /// Integers that no fit returns: divisor, multiplier, range or list out of order.
    #[error("channel {channel}: {what}; build the operator with its constructor")]
    Malformed {
        /// Output channel.
        channel: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Strict rounding that the operator cannot have.
    #[error(
        "channel {channel}: strict rounding is not possible: {what}, and {differing} accumulators differ from the \
         runtime; use exact rounding, which lists them"
    )]
    Strict {
        /// Output channel.
        channel: usize,
        /// Why.
        what: &'static str,
        /// Accumulators (or inputs) that differ with exact rounding.
        differing: usize,
    },
}

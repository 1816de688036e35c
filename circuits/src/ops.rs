//! Operators of the integer graph. One operator = one file.

use serde::{Deserialize, Serialize};

mod add;
mod avg_pool;
mod conv2d;
mod dense;
mod max_pool;
mod view;

pub use add::Add;
pub use avg_pool::AvgPool;
pub use conv2d::{Conv2d, Window};
pub use dense::Dense;
pub use max_pool::MaxPool;
pub use view::View;

/// An operator of the integer graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution with constant weights.
    Conv2d(Conv2d),
    /// Product with a constant matrix along the last dimension.
    Dense(Dense),
    /// Sum of two tensors of the same shape; also a rescale of one tensor (second input absent).
    Add(Add),
    /// Average over windows; global when the window is the plane.
    AvgPool(AvgPool),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Reshape, transpose, squeeze, flatten: the same values in another order.
    View(View),
}

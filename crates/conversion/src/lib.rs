//! Networks become ONNX graphs and model packages, and models of other programs become networks.
//!
//! ```text
//! network → trace → graph → package → verified in libtorch and ONNX Runtime   `export`
//! checkpoint or folder + options → imported model → network → package        `import`
//! ```
//!
//! * [`export`]: a network as an ONNX graph, as a package, as a model of Triton, and the way back;
//! * [`import`]: checkpoints and pipelines of other programs.

pub mod export;

pub mod import;

//! The fingerprint: what determines a sample's bits besides the model and the request.

use ddpm_onnx::{Device, Runtime};

/// Returns our version, ONNX Runtime's, the device (a GPU with its driver and cuDNN), the processor
/// and the number of threads as one line, to be read and compared.
pub(crate) fn fingerprint(runtime: &Runtime, device: &Device) -> String {
    format!(
        "ddpm-server {} / onnxruntime {} / {} / {} / {} threads",
        env!("CARGO_PKG_VERSION"),
        runtime.version(),
        match device.gpu() {
            Some(gpu) => format!("{} ({gpu})", device.name()),
            None => device.name(),
        },
        processor(),
        runtime.threads(),
    )
}

/// Returns the features of the processor by which ONNX Runtime chooses its kernels.
#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    let features = [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avxvnni", is_x86_feature_detected!("avxvnni")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    let found = features.into_iter().filter(|(_, present)| *present).map(|(name, _)| name);
    std::iter::once("x86_64").chain(found).collect::<Vec<_>>().join("+")
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}

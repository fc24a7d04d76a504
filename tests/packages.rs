//! Bad packages are refused at startup, with the reason and exit code 3.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{TestServer, copy_folder, fails_to_start, root};

/// Creates a folder with a copy of the toy's package.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&root().join("models/toy"), &folder.path().join("toy"));
    folder
}

/// Starts a server on a damaged copy; returns its log.
fn refused(damage: impl Fn(&Path)) -> String {
    let folder = copy();
    damage(&folder.path().join("toy"));
    let (code, log) = fails_to_start(&["--models", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    log
}

#[test]
fn of_several_packages_the_bad_one_is_named() {
    let bytes = |toy: &Path| {
        let path = toy.join("testdata/golden.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let missing = |toy: &Path| fs::remove_file(toy.join("unet/model.onnx")).unwrap();
    let link = |toy: &Path| {
        let path = toy.join("unet/model.onnx");
        fs::rename(&path, toy.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", path).unwrap();
    };
    let json = |toy: &Path| fs::write(toy.join("ddpm.json"), "{").unwrap();
    for damage in [&bytes as &dyn Fn(&Path), &missing, &link, &json] {
        let folder = copy();
        let bad = folder.path().join("bad");
        copy_folder(&root().join("models/glyphs"), &bad);
        damage(&bad);
        let (code, log) = fails_to_start(&["--models", folder.path().to_str().unwrap()]);
        assert_eq!(code, 3, "{log}");
        assert!(log.contains(bad.to_str().unwrap()), "{log}");
    }
}

#[tokio::test]
async fn a_folder_of_packages_and_a_package_are_served() {
    let folder = copy();
    for path in [folder.path().to_path_buf(), folder.path().join("toy")] {
        let server = TestServer::start(&["--models", path.to_str().unwrap()]);
        let models = server.client().await.models().await.unwrap();
        let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["toy"]);
    }
}

#[test]
fn a_changed_file_is_refused() {
    let log = refused(|toy| {
        let path = toy.join("unet/model.onnx");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    assert!(log.contains("unet/model.onnx") && log.contains("SHA-256"), "{log}");
}

#[test]
fn a_truncated_file_is_refused() {
    let log = refused(|toy| {
        let path = toy.join("unet/model.onnx");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(log.contains("unet/model.onnx: it has"), "{log}");
}

#[test]
fn a_missing_file_is_refused() {
    let log = refused(|toy| fs::remove_file(toy.join("unet/model.onnx")).unwrap());
    assert!(log.contains("unet/model.onnx: it is missing"), "{log}");
}

#[test]
fn a_path_that_leaves_the_package_is_refused() {
    let log = refused(|toy| {
        let path = toy.join("ddpm.json");
        let json = fs::read_to_string(&path).unwrap();
        fs::write(path, json.replace("unet/model.onnx", "../toy/unet/model.onnx")).unwrap();
    });
    assert!(log.contains("it leaves the package"), "{log}");
}

#[test]
fn golden_outputs_that_the_graph_does_not_reproduce_are_refused() {
    let log = refused(|toy| {
        // Change the first golden output, and the digest in the manifest to match.
        let path = toy.join("testdata/golden.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let start = header["out_sample"]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[8 + length + start..][..4].copy_from_slice(&9.0f32.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let manifest = toy.join("ddpm.json");
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        for file in json["files"].as_array_mut().unwrap() {
            if file["path"] == "testdata/golden.safetensors" {
                file["sha256"] = ddpm_package::Sha256Hex::of(&bytes).as_str().into();
            }
        }
        fs::write(manifest, serde_json::to_vec(&json).unwrap()).unwrap();
    });
    assert!(log.contains("differs from the golden outputs"), "{log}");
}

#[test]
fn a_folder_without_packages_is_refused_with_the_command_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let (code, log) = fails_to_start(&["--models", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(log.contains("ddpm-exporter"), "{log}");
}

#[test]
fn two_packages_with_the_same_name_are_refused() {
    let folder = copy();
    copy_folder(&folder.path().join("toy"), &folder.path().join("twin"));
    let (code, log) = fails_to_start(&["--models", folder.path().to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(log.contains("are both named \"toy\""), "{log}");
    for name in ["toy", "twin"] {
        assert!(log.contains(folder.path().join(name).to_str().unwrap()), "{log}");
    }
}

#[test]
fn a_runtime_library_that_is_missing_or_invalid_is_refused_with_the_command_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("libonnxruntime.so");
    fs::write(&fake, b"not a library").unwrap();
    for path in [fake.as_path(), Path::new("/nowhere/libonnxruntime.so")] {
        let (code, log) = fails_to_start(&["--ort-lib", path.to_str().unwrap()]);
        assert_eq!(code, 3);
        assert!(log.contains("make setup-server"), "{log}");
    }
}

#[test]
fn a_missing_device_is_refused_with_the_reason() {
    if Path::new("/dev/nvidiactl").exists() {
        return;
    }
    let (code, log) = fails_to_start(&["--device", "cuda"]);
    assert_eq!(code, 3);
    assert!(log.contains("device cuda:0 cannot be used"), "{log}");
}

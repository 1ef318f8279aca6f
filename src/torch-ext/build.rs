//! Compiles the kernels in `csrc` against libtorch's headers, optimised in
//! every profile: tests would otherwise spend their time in them.
//!
//! Two libraries: plain C++ for any machine, and the AVX-512 files, whose
//! functions are called only where the machine has it.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=csrc");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64")
        && env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
    {
        let mut avx512 = base();
        for flag in ["f", "bw", "vl", "dq", "bf16"] {
            avx512.flag(format!("-mavx512{flag}"));
        }
        // What GCC's own vector headers leave uninitialised on purpose.
        avx512.flag_if_supported("-Wno-uninitialized");
        avx512.flag_if_supported("-Wno-maybe-uninitialized");
        avx512
            .files(["csrc/attention_avx512.cpp", "csrc/linear_avx512.cpp"])
            .compile("qinglan_avx512");
    }
    // torch-sys tells where it found libtorch's libraries; the headers are
    // beside them.
    let libraries = env::var("DEP_TCH_LIBTORCH_LIB").map_or_else(
        |_| panic!("torch-sys did not tell where libtorch is"),
        PathBuf::from,
    );
    let libraries = libraries.canonicalize().unwrap_or(libraries);
    let include = libraries.join("../include");
    let mut plain = base();
    plain
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // Its headers are not ours to warn about.
        .flag_if_supported("-Wno-unused-parameter")
        .files([
            "csrc/adamw.cpp",
            "csrc/attention.cpp",
            "csrc/dispatch.cpp",
            "csrc/flash_attention.cpp",
            "csrc/linear.cpp",
            "csrc/memory.cpp",
            "csrc/norm.cpp",
            "csrc/parallel.cpp",
            "csrc/product.cpp",
            "csrc/sampling.cpp",
            "csrc/training_attention.cpp",
            "csrc/training_layers.cpp",
            "csrc/training_scores.cpp",
        ])
        .compile("qinglan_plain");
    build_distributed(&libraries);
    build_cuda_graph(&libraries.join(".."));
    build_nccl(&libraries.join(".."));
    // So that this crate's tests find libtorch where the build found it.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libraries.display());
}

fn base() -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).pic(true);
    build
}

/// Compiles the process groups, with Gloo where its headers are: those that the
/// provisioning script has put beside the torch package, or the system's.
/// Without them the crate builds, and says at run time that it lacks them.
fn build_distributed(libraries: &Path) {
    println!("cargo::rustc-check-cfg=cfg(gloo)");
    let beside = libraries.join("../../gloo/include");
    let gloo = [beside, PathBuf::from("/usr/include")]
        .into_iter()
        .find(|folder| folder.join("gloo/context.h").exists());
    let include = libraries.join("../include");
    let mut build = base();
    build
        .warnings(false)
        .opt_level(2)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .files(["csrc/distributed.cpp", "csrc/distributed_gloo.cpp"]);
    if let Some(gloo) = gloo {
        println!("cargo::rerun-if-changed={}", gloo.join("gloo").display());
        println!("cargo::rustc-cfg=gloo");
        build.define("QINGLAN_GLOO", None).include(&gloo);
    }
    build.compile("qinglan_distributed");
    // Both halves of libtorch hold a Gloo. Named first, the CPU's is taken, and
    // the binary goes on without the other half.
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
}

/// Compiles the CUDA half as a shared object, which the crate embeds. It is
/// linked to nothing of CUDA's, so headers are all it wants: those of the
/// packages nvidia-cuda-runtime and nvidia-cuda-crt, beside the torch package.
/// Without them the crate builds, and says at run time that it lacks this half.
fn build_cuda_graph(libtorch: &Path) {
    println!("cargo::rustc-check-cfg=cfg(cuda_graph)");
    println!("cargo::rerun-if-changed=csrc/cuda_graph.cpp");
    println!("cargo::rerun-if-changed=csrc/torch_guarded.h");
    // A checkout's link to libtorch has its packages beside what it points to.
    let libtorch = libtorch
        .canonicalize()
        .unwrap_or_else(|_| libtorch.to_owned());
    let cuda = libtorch.join("../nvidia/cu13/include");
    let header = cuda.join("crt/host_config.h");
    if !cuda.join("cuda_runtime_api.h").exists() || !header.exists() {
        // A path that is not there would make every build begin here again.
        if cuda.exists() {
            println!("cargo::rerun-if-changed={}", cuda.display());
        }
        return;
    }
    println!("cargo::rerun-if-changed={}", header.display());
    build_object(
        "csrc/cuda_graph.cpp",
        "libqinglan_cuda.so",
        &[&libtorch.join("include"), &cuda],
    );
    println!("cargo::rustc-cfg=cuda_graph");
}

/// Compiles NCCL's groups as a shared object too. Its headers come with the CUDA
/// packages that torch depends on, and nvidia-cuda-cccl: a machine that can run
/// it has the former, and provisioning brings neither.
fn build_nccl(libtorch: &Path) {
    println!("cargo::rustc-check-cfg=cfg(nccl)");
    println!("cargo::rerun-if-changed=csrc/distributed_nccl.cpp");
    let libtorch = libtorch
        .canonicalize()
        .unwrap_or_else(|_| libtorch.to_owned());
    let nccl = libtorch.join("../nvidia/nccl/include");
    let cuda = libtorch.join("../nvidia/cu13/include");
    let cccl = cuda.join("cccl");
    let wanted = [
        nccl.join("nccl.h"),
        cccl.join("cuda/std/version"),
        cuda.join("crt/host_config.h"),
        cuda.join("cusparse.h"),
        cuda.join("cublas_v2.h"),
        cuda.join("cusolverDn.h"),
    ];
    if !wanted.iter().all(|header| header.exists()) {
        return;
    }
    println!("cargo::rerun-if-changed={}", nccl.display());
    let torch = libtorch.join("include");
    let api = torch.join("torch/csrc/api/include");
    build_object(
        "csrc/distributed_nccl.cpp",
        "libqinglan_nccl.so",
        &[&torch, &api, &nccl, &cuda, &cccl],
    );
    println!("cargo::rustc-cfg=nccl");
}

/// Compiles a shared object for the crate to embed. It is linked to nothing:
/// what it leaves undefined is in the process when it is opened.
fn build_object(source: &str, object: &str, includes: &[&Path]) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut compiler = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .warnings(false)
        .get_compiler()
        .to_command();
    for include in includes {
        compiler.arg("-isystem").arg(include);
    }
    let status = compiler
        .args(["-shared", "-fPIC", "-s", "-D_GLIBCXX_USE_CXX11_ABI=1"])
        .arg(source)
        .arg("-o")
        .arg(out.join(object))
        .status()
        .expect("the C++ compiler runs: the rest of the crate needs it too");
    assert!(status.success(), "{source} does not compile");
}

//! Makes sure there is a page to embed: where the web application has not been built
//! (`npm run build` in `web/`), a minimal page says so instead of failing the Rust build.

use std::path::Path;
use std::{env, fs, io};

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"zh-CN\">\n<meta charset=\"utf-8\">\n<title>Portgate</title>\n<p>网页程序尚未构建：请在 dashboards/web 下运行 npm ci 与 npm run build，再重新编译。</p>\n<p lang=\"en\">The web application has not been built: run npm ci and npm run build in dashboards/web, then compile again.</p>\n</html>\n";

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let dist = Path::new(&root).join("web").join("dist");
    let page = dist.join("index.html");
    if !page.exists() {
        fs::create_dir_all(&dist)?;
        fs::write(&page, NOT_BUILT)?;
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=web/dist");
    Ok(())
}

//! The published schemas are those of the types.

use std::path::PathBuf;

#[test]
fn the_published_schemas_are_fresh() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    std::fs::create_dir_all(folder.join("registry")).unwrap();
    for (name, schema) in portgate_ingest::schema::all() {
        let path = folder.join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if update {
            std::fs::write(&path, text).unwrap();
        } else {
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(published == text, "{} is stale: run this test with UPDATE_SCHEMAS=1", path.display());
        }
    }
}

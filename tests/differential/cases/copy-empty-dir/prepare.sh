mkdir -p e/deep/er e/other

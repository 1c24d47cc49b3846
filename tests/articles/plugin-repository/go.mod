module example.test/plugin

go 1.19

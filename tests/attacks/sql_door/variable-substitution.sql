SELECT * FROM ${env:USER:-emp}

greeting() {
  echo "hello, $1"
}

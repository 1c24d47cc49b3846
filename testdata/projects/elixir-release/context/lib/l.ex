defmodule L do end
